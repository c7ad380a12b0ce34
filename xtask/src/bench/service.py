"""A service of the usual build: FastAPI, transformers, PyTorch eager in fp32, one text a request."""

import sys
from contextlib import asynccontextmanager

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import BertModel, PreTrainedTokenizerFast

torch.set_num_threads(1)
folder, port = sys.argv[1], int(sys.argv[2])
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=f"{folder}/tokenizer.json", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
)
bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()


def head():
    from safetensors import safe_open

    with safe_open(f"{folder}/model.safetensors", "pt") as weights:
        return weights.get_tensor("classifier.weight"), weights.get_tensor("classifier.bias")


weight, bias = head()


class Item(BaseModel):
    text: str


@asynccontextmanager
async def ready(_app):
    print("ready", flush=True)
    yield


app = FastAPI(lifespan=ready)


@app.post("/score")
def score(item: Item):
    with torch.inference_mode():
        inputs = tokenizer(item.text, return_tensors="pt", truncation=True, max_length=512)
        hidden = bert(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        scores = torch.sigmoid(hidden.mean(dim=1) @ weight.T + bias)[0].tolist()
    return {"scores": scores, "remove": max(scores) >= 0.95}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, timeout_keep_alive=3600)
