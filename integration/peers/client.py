"""Talks to `itool serve` with OpenAI's own client, as its users do, and prints what it saw.

    itool serve --listen 127.0.0.1:8123 &
    OPENAI_BASE_URL=http://127.0.0.1:8123/v1 OPENAI_API_KEY=k python client.py

TestOpenAIClient starts it with the demo's base, which calls the tool.
"""

import json

import openai

client = openai.OpenAI()
model = client.models.list().data[0].id
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "weather of a day", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "string", "enum": ["mon", "sun"]}}, "required": ["city"]}}}]
ask = dict(model=model, messages=[{"role": "user", "content": "weather in Bazu"}], tools=TOOLS, temperature=0, max_tokens=60)
saw = {"model": model}

whole = client.chat.completions.create(**ask)
call = whole.choices[0].message.tool_calls[0]
saw["call"] = [call.function.name, json.loads(call.function.arguments)]
saw["finish"], saw["completion_tokens"] = whole.choices[0].finish_reason, whole.usage.completion_tokens

parts = [e.choices[0].delta for e in client.chat.completions.create(**ask, stream=True)]
streamed = [c for p in parts for c in p.tool_calls or []]
saw["streamed"] = [streamed[0].function.name, json.loads(streamed[0].function.arguments)]

# The call's result goes back, and what comes then is an answer to it.
ask["messages"] += [whole.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
saw["answer"] = client.chat.completions.create(**ask).choices[0].message.role

scored = client.completions.create(model=model, prompt="weather in Bazu", max_tokens=0, echo=True, logprobs=0)
saw["scored"] = scored.choices[0].logprobs.token_logprobs
saw["seeded"] = [client.completions.create(model=model, prompt=[1, 40, 41], max_tokens=8, seed=5).choices[0].text for _ in range(2)]
top = client.chat.completions.create(model=model, messages=ask["messages"][:1], max_tokens=2, logprobs=True, top_logprobs=2)
saw["top"] = len(top.choices[0].logprobs.content[0].top_logprobs)
try:
    client.chat.completions.create(**ask, tool_choice="required")
except openai.BadRequestError as e:
    saw["refused"] = e.message
print(json.dumps(saw))
