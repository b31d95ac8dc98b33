-- works with: 32
-- The route of the local model says what that takes, now that prompts are kept within it.
UPDATE routes SET definition = CAST('{"kind":"local","model":"smollm2-135m-instruct","provider":null,"price":{"input":0,"cached":null,"output":0},"max_output_tokens":512,"context_window":4096}' AS BLOB)
WHERE definition = CAST('{"kind":"local","model":"smollm2-135m-instruct","provider":null,"price":{"input":0,"cached":null,"output":0},"max_output_tokens":512,"context_window":8192}' AS BLOB);
