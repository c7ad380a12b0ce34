use std::process::Command;

/// Starts the function with nothing in its environment but `variables` and returns what it says as it
/// gives up.
fn refusal(variables: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_modloop-fetch"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the function starts");
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"));
    let refused = lines.rev().find(|line| line["message"] == "fetch cannot start");
    refused.expect("it says why")["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_missing_or_wrong_variable_is_named() {
    let mut variables = vec![];
    for (variable, value) in [
        ("REDDIT_USER_AGENT", "test:modloop:0.1"),
        ("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:database"),
        ("REDDIT_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:reddit"),
        ("SCORE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/score"),
    ] {
        let reason = refusal(&variables);
        assert!(reason.contains(&format!("{variable} is not set")), "{reason}");
        variables.push((variable, value));
    }
    for (variable, wrong, told) in [
        ("FETCH_PAGE_LIMIT", "ten", "FETCH_PAGE_LIMIT cannot be used: expected a whole number"),
        ("REDDIT_API_URL", "reddit", "REDDIT_API_URL cannot be used: expected an address"),
        ("REDDIT_AUTH_URL", "http://www.reddit.com", "http://www.reddit.com/ is no https address"),
    ] {
        let reason = refusal(&[&variables[..], &[(variable, wrong)]].concat());
        assert!(reason.contains(told), "{reason}");
    }
}
