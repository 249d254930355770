"""Talks to `itool serve` with OpenAI's own client, as its users do, and prints what it saw.

    itool serve --listen 127.0.0.1:8123 &
    OPENAI_BASE_URL=http://127.0.0.1:8123/v1 OPENAI_API_KEY=k python client.py

TestOpenAIClients starts it with the demo's base, which calls the tool. client.cjs does the same in JavaScript.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import List, Literal, Optional

import openai
from pydantic import BaseModel

client = openai.OpenAI(max_retries=0)
model = client.models.list().data[0].id
saw = {"model": model, "retrieved": client.models.retrieve(model).created > 0}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "weather of a day", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "string", "enum": ["mon", "sun"]}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]
ask = dict(model=model, messages=[{"role": "user", "content": "weather in Bazu"}], tools=TOOLS, temperature=0, max_tokens=60)
chat = client.chat.completions.create


def calls_of(choice):
    return [[c.function.name, json.loads(c.function.arguments)] for c in choice.message.tool_calls or []]


whole = chat(**ask)
saw["call"], saw["finish"] = calls_of(whole.choices[0])[0], whole.choices[0].finish_reason
saw["completion_tokens"] = whole.usage.completion_tokens

streamed = []
for event in chat(**ask, stream=True, stream_options={"include_usage": True}):
    streamed += [c for choice in event.choices for c in choice.delta.tool_calls or []]
    saw["streamed_tokens"] = event.usage and event.usage.completion_tokens
saw["streamed"] = [streamed[0].function.name, json.loads(streamed[0].function.arguments)]

# The call's result goes back, and what comes then is an answer to it.
talk = ask["messages"] + [whole.choices[0].message, {"role": "tool", "tool_call_id": whole.choices[0].message.tool_calls[0].id, "content": "rain"}]
saw["answer"] = chat(**{**ask, "messages": talk}).choices[0].message.role

small = {**ask, "messages": [{"role": "user", "content": "Hello!"}], "parallel_tool_calls": False, "max_tokens": 300}
forced = chat(**small, tool_choice="required").choices[0]
saw["required"] = [len(calls_of(forced)), forced.finish_reason]
named = chat(**small, tool_choice={"type": "function", "function": {"name": "now"}}).choices[0]
saw["named"] = [calls_of(named)[0], named.finish_reason]


class Wind(BaseModel):
    direction: Literal["N", "S"]
    knots: Optional[int]


class Weather(BaseModel):
    sunny: bool
    winds: List[Wind]


parsed = client.chat.completions.parse(model=model, messages=ask["messages"], response_format=Weather, seed=3, max_tokens=2000)
saw["parsed"] = isinstance(parsed.choices[0].message.parsed, Weather)

scored = client.completions.create(model=model, prompt="weather in Bazu", max_tokens=0, echo=True, logprobs=0)
saw["scored"] = scored.choices[0].logprobs.token_logprobs
top = chat(model=model, messages=ask["messages"], max_tokens=2, logprobs=True, top_logprobs=2)
saw["top"] = len(top.choices[0].logprobs.content[0].top_logprobs)


def text(seed):
    return client.completions.create(model=model, prompt=[1, 40, 41], max_tokens=12, seed=seed).choices[0].text


alone = [text(seed) for seed in range(16)]
with ThreadPoolExecutor(16) as pool:
    saw["at_once"] = list(pool.map(text, range(16))) == alone and len(set(alone)) > 1
saw["refused"] = []
for kind, wrong in [(openai.BadRequestError, {"logit_bias": {"5": 1}}), (openai.NotFoundError, {"model": "gpt"})]:
    try:
        chat(**{**ask, **wrong})
    except kind as e:
        saw["refused"].append([e.code, e.param, bool(e.request_id)])
print(json.dumps(saw))
