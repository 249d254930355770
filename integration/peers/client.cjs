// Talks to `itool serve` with OpenAI's own client for JavaScript, as client.py does for Python, and prints what it saw.
const OpenAI = require("openai");

async function main() {
  const client = new OpenAI({ maxRetries: 0 });
  const model = (await client.models.list()).data[0].id;
  const saw = { model, retrieved: (await client.models.retrieve(model)).created > 0 };
  const tools = [
    { type: "function", function: { name: "get_weather", description: "weather of a day", parameters: {
      type: "object", properties: { city: { type: "string" }, day: { type: "string", enum: ["mon", "sun"] } }, required: ["city"] } } },
    { type: "function", function: { name: "now", parameters: { type: "object", properties: {} } } },
  ];
  const ask = { model, messages: [{ role: "user", content: "weather in Bazu" }], tools, temperature: 0, max_tokens: 60 };
  const chat = (body) => client.chat.completions.create(body);
  const callsOf = (choice) => (choice.message.tool_calls || []).map((c) => [c.function.name, JSON.parse(c.function.arguments)]);

  const whole = await chat(ask);
  saw.call = callsOf(whole.choices[0])[0];
  saw.finish = whole.choices[0].finish_reason;
  saw.completion_tokens = whole.usage.completion_tokens;

  const streamed = [];
  for await (const event of await chat({ ...ask, stream: true, stream_options: { include_usage: true } })) {
    for (const choice of event.choices) streamed.push(...(choice.delta.tool_calls || []));
    saw.streamed_tokens = event.usage && event.usage.completion_tokens;
  }
  saw.streamed = [streamed[0].function.name, JSON.parse(streamed[0].function.arguments)];

  // The call's result goes back, and what comes then is an answer to it.
  const turn = whole.choices[0].message;
  const talk = [...ask.messages, turn, { role: "tool", tool_call_id: turn.tool_calls[0].id, content: "rain" }];
  saw.answer = (await chat({ ...ask, messages: talk })).choices[0].message.role;

  const small = { ...ask, messages: [{ role: "user", content: "Hello!" }], parallel_tool_calls: false, max_tokens: 300 };
  const forced = (await chat({ ...small, tool_choice: "required" })).choices[0];
  saw.required = [callsOf(forced).length, forced.finish_reason];
  const named = (await chat({ ...small, tool_choice: { type: "function", function: { name: "now" } } })).choices[0];
  saw.named = [callsOf(named)[0], named.finish_reason];

  const schema = { type: "object", properties: {
    sunny: { type: "boolean" },
    winds: { type: "array", items: { type: "object", properties: { direction: { enum: ["N", "S"] }, knots: { type: ["integer", "null"] } },
      required: ["direction", "knots"], additionalProperties: false } } },
    required: ["sunny", "winds"], additionalProperties: false };
  const parsed = await client.chat.completions.parse({ model, messages: ask.messages, seed: 3, max_tokens: 2000,
    response_format: { type: "json_schema", json_schema: { name: "weather", strict: true, schema } } });
  const value = JSON.parse(parsed.choices[0].message.content);
  saw.parsed = typeof value.sunny === "boolean" && Array.isArray(value.winds);

  const scored = await client.completions.create({ model, prompt: "weather in Bazu", max_tokens: 0, echo: true, logprobs: 0 });
  saw.scored = scored.choices[0].logprobs.token_logprobs;
  const top = await chat({ model, messages: ask.messages, max_tokens: 2, logprobs: true, top_logprobs: 2 });
  saw.top = top.choices[0].logprobs.content[0].top_logprobs.length;

  const text = async (seed) =>
    (await client.completions.create({ model, prompt: [1, 40, 41], max_tokens: 12, seed })).choices[0].text;
  const seeds = [...Array(16).keys()];
  const alone = [];
  for (const seed of seeds) alone.push(await text(seed));
  const together = await Promise.all(seeds.map(text));
  saw.at_once = JSON.stringify(together) === JSON.stringify(alone) && new Set(alone).size > 1;
  saw.refused = [];
  for (const [kind, wrong] of [[OpenAI.BadRequestError, { logit_bias: { 5: 1 } }], [OpenAI.NotFoundError, { model: "gpt" }]]) {
    try {
      await chat({ ...ask, ...wrong });
    } catch (e) {
      if (e instanceof kind) saw.refused.push([e.code, e.param, Boolean(e.requestID)]);
    }
  }
  console.log(JSON.stringify(saw));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
