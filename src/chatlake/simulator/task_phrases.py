"""The tasks that are not customer support: code, data extraction, translation, tools.

Templates as in `phrases`; JSON and code are literal, slots are written «slot».
"""

from __future__ import annotations

from chatlake.simulator.language import Pair

CODING_SYSTEM = "You are a senior engineer. Answer with working code first, then one sentence why."

CODING: tuple[Pair, ...] = (
    (
        "Why does this print None?\n\n```python\nrows = [«n», 1, 2].sort()\nprint(rows)\n```",
        (
            "`list.sort()` sorts in place and returns `None`.\n\n```python\nrows = sorted([«n», "
            "1, 2])\nprint(rows)\n```\n\n`sorted` returns a new list."
        ),
    ),
    (
        (
            "SQL: the «n» customers with the highest revenue per month, please. Table "
            "orders(customer, ordered_at, amount)."
        ),
        (
            "```sql\nSELECT date_trunc('month', ordered_at) AS month, customer, sum(amount) AS "
            "revenue\nFROM orders\nGROUP BY ALL\nQUALIFY row_number() OVER (PARTITION BY month "
            "ORDER BY revenue DESC) <= «n»\n```\n\n`QUALIFY` filters on a window function "
            "without a subquery."
        ),
    ),
    (
        "Write a shell one-liner that finds files larger than «n» MB and shows 100% of their path.",
        (
            "```sh\nfind . -type f -size +«n»M -printf '%s\\t%p\\n' | sort "
            "-rn\n```\n\n`-printf` gives the size in bytes, so that `sort -n` is right."
        ),
    ),
    (
        "TypeScript: type for an object whose keys are 'a' | 'b' and whose values are numbers > 0?",
        (
            "```ts\ntype Counts = Record<'a' | 'b', number>;\n\nfunction check(c: Counts): c is "
            "Counts {\n  return Object.values(c).every((v) => v > 0);\n}\n```\n\nThe type "
            "system cannot say > 0, so check it at run time."
        ),
    ),
)

CODING_FURTHER: tuple[Pair, ...] = (
    (
        "And with a test?",
        "```python\ndef test_rows() -> None:\n    assert rows([«n», 1]) == [1, «n»]\n```",
    ),
    (
        "It fails with `KeyError: '«order»'`.",
        'Then «order» is missing: use `d.get("«order»", «n»)`.',
    ),
    ("Faster, please 🚀", "Use a generator: memory stays flat, and it ran «n» times faster here."),
)

EXTRACTION_SYSTEM = "Extract the fields of the schema. Use null for what the text does not say."

EXTRACTION: tuple[Pair, ...] = (
    (
        (
            "Invoice «order»\nNorthwind Tea Ltd, «city»\nBill to: «name»\n1 × «product»    EUR "
            "«amount»\nDue in «n» days"
        ),
        (
            '{"invoice":"«order»","customer":"«name»","total":«amount»,"currency":"EUR",'
            '"due_days":«n»}'
        ),
    ),
    (
        (
            "From: «name»\nSubject: cancellation\n\nPlease cancel «order», the «product» is too "
            "small.\n\n\t– «name», «city»"
        ),
        '{"invoice":"«order»","customer":"«name»","total":null,"currency":null,"due_days":null}',
    ),
)

EXTRACTION_FORMAT = (
    '{"type":"json_schema","json_schema":{"name":"invoice","description":null,"strict":true,'
    '"schema":{"type":"object","properties":{"invoice":{"type":"string"},"customer":{"type":'
    '["string","null"]},"total":{"type":["number","null"]},"currency":{"type":["string",'
    '"null"]},"due_days":{"type":["integer","null"]}},"required":["invoice","customer","total",'
    '"currency","due_days"],"additionalProperties":false}}}'
)

TRANSLATION_SYSTEM = "Translate from {source} to {target}. Answer with the translation only."

# One sentence a row, in the order of `phrases.LANGUAGES`.
PARALLEL: tuple[tuple[str, ...], ...] = (
    (
        "The train to «city» leaves in «n» minutes.",
        "Der Zug nach «city» fährt in «n» Minuten.",
        "El tren a «city» sale en «n» minutos.",
        "Le train pour «city» part dans «n» minutes.",
        "«city»行きの電車は«n»分後に出発します。",
        "يغادر القطار إلى «city» بعد «n» دقائق.",
    ),
    (
        "Please keep the receipt; without it we cannot exchange the goods.",
        "Bitte bewahren Sie den Beleg auf; ohne ihn können wir die Ware nicht umtauschen.",
        "Guarde el recibo; sin él no podemos cambiar la mercancía.",
        "Veuillez garder le reçu ; sans lui, nous ne pouvons pas échanger la marchandise.",
        "レシートを保管してください。レシートがないと交換できません。",
        "يرجى الاحتفاظ بالإيصال؛ لا يمكننا استبدال البضاعة بدونه.",
    ),
    (
        "“Tea first, then work,” said «name», and put the kettle on. ☕",
        "„Erst Tee, dann Arbeit“, sagte «name» und setzte Wasser auf. ☕",
        "—Primero el té y luego el trabajo —dijo «name», y puso el agua. ☕",
        "« D'abord le thé, ensuite le travail », dit «name» en mettant l'eau à chauffer. ☕",
        "「まずお茶、仕事はそれから」と«name»は言って、お湯を沸かした。☕",
        "«الشاي أولًا ثم العمل»، هكذا قال «name» ووضع الإبريق على النار. ☕",
    ),
)

TOOLS = (
    '[{"type":"function","function":{"parameters":{"type":"object","properties":{"order_id":'
    '{"type":"string"}},"required":["order_id"]},"description":"Look up an order","name":'
    '"lookup_order"}},{"type":"function","function":{"parameters":{"type":"object","properties":'
    '{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"}},'
    '"required":["location"]},"description":"Get current weather information","name":'
    '"get_weather"}}]'
)
CUSTOM_TOOLS = (
    '[{"type":"custom","custom":{"name":"run_sql","description":"Runs one SQL query","format":'
    '{"type":"text"}}}]'
)
ORDER_ARGUMENTS = '{"order_id":"«order»"}'
ORDER_RESULT = '{"order_id":"«order»","status":"in_transit","eta_days":«n»,"carrier":"DHL"}'
WEATHER_ARGUMENTS = '{"location":"«city»"}'
WEATHER_RESULT = '{"location":"«city»","celsius":«n»,"sky":"partly cloudy"}'
BROKEN_ARGUMENTS = '{"order_id":"«order»", "note": "customer says \\"late'
CUSTOM_INPUT = "SELECT status, eta\nFROM orders\nWHERE id = '«order»' -- «name»"

# Behind `Scenario.odd_text` only. JSON escapes, as a server might send them: lone surrogates are
# legal escapes in JSON and illegal in Unicode.
ODD_TEXTS: tuple[bytes, ...] = (
    rb"half an emoji: \ud83d and nothing after it",
    rb"reversed pair: \udc00\ud800",
    rb"NUL between\u0000words",
    "right-to-left \u202eoverride\u202c, zero\u200bwidth\u200djoiner, \ufeffmark".encode(),
    "combining: Z̸̡̛͍a̵l̶g̷o, flag 🏴\U000e0067\U000e0062\U000e007f, family 👩‍👩‍👧‍👦".encode(),
    rb"control \u0001\u001f\u007f, line\u2028separator, escaped \/ slash",
)
