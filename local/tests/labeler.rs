//! The LLM stand-in as a client of the original would meet it.

use modloop_local::labeler::{API_KEY, Handle, MODEL, Options, StandIn, lexicon};
use serde_json::{Value, json};

async fn stand_in() -> Handle {
    // Tests of other crates may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    StandIn::start(Options::new(lexicon([("spam", ["cheap"])]))).await.expect("a stand-in")
}

async fn ask(stand_in: &Handle, key: &str, body: &Value) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/chat/completions", stand_in.url());
    let answer = client.post(url).bearer_auth(key).json(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

fn request(schema: Value) -> Value {
    json!({
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Label the value of `text_7`."},
            {"role": "user", "content": r#"{"text_7":"cheap watches"}"#},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "labels", "strict": true, "schema": schema}},
    })
}

fn schema() -> Value {
    let properties = json!({"spam": {"type": "boolean"}});
    json!({"type": "object", "properties": properties, "required": ["spam"], "additionalProperties": false})
}

#[tokio::test]
async fn a_completion_has_the_form_of_the_schema_and_says_what_it_used() {
    let stand_in = stand_in().await;
    let (status, answer) = ask(&stand_in, API_KEY, &request(schema())).await;
    assert_eq!(status, 200);
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!(r#"{"spam":true}"#), &json!("stop"))
    );
    let usage = &answer["usage"];
    let used = |name: &str| usage[name].as_u64().expect("a number");
    assert_eq!(used("prompt_tokens") + used("completion_tokens"), used("total_tokens"));
    assert_eq!(stand_in.stats().prompt_tokens, used("prompt_tokens"));
}

#[tokio::test]
async fn an_answer_longer_than_allowed_is_cut_off() {
    let mut body = request(schema());
    body["max_tokens"] = json!(2);
    let (_, answer) = ask(&stand_in().await, API_KEY, &body).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["choices"][0]["message"]["content"], r#"{"spam":"#);
}

#[tokio::test]
async fn without_a_schema_it_chats() {
    let mut body = request(schema());
    body["response_format"].take();
    let (_, answer) = ask(&stand_in().await, API_KEY, &body).await;
    assert!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|prose| prose.contains("post")));
}

#[tokio::test]
async fn what_the_original_refuses_is_refused() {
    let stand_in = stand_in().await;
    let (status, answer) = ask(&stand_in, "sk-other", &request(schema())).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("invalid_api_key")));

    let mut unknown = request(schema());
    unknown["model"] = json!("gpt-none");
    let (status, answer) = ask(&stand_in, API_KEY, &unknown).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("model_not_found")));

    let loose = json!({"type": "object", "properties": {"spam": {"type": "boolean"}}, "required": ["spam"]});
    let (status, answer) = ask(&stand_in, API_KEY, &request(loose)).await;
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(status == 400 && message.contains("additionalProperties"), "{answer}");
    assert_eq!((stand_in.stats().wrong_keys, stand_in.stats().completion_tokens), (1, 0));
}
