"""Judges and writes whole result files as bfcl-eval does, with its own runners, conversations and writer of files.

python bfclfiles.py judge RESULTS DATA            one line of JSON per answer: {"file", "id", "valid", "error"}
python bfclfiles.py write RESULTS DATA < texts    a line is {"id", "texts": text or texts by turn and step}

RESULTS is the folder of a model's result files, DATA that of the benchmark. In "write" the model is a handler of
bfcl-eval that says the given texts; conversation, execution and files are bfcl-eval's.
"""

import json
import os
import pathlib
import signal
import sys
import tempfile
import types
import warnings
from collections import defaultdict

warnings.simplefilter("ignore")
os.environ["BFCL_PROJECT_ROOT"] = tempfile.mkdtemp()
# Clients of all makers of models, and what only the table of the leaderboard needs.
models = types.ModuleType("bfcl_eval.constants.model_config")
models.MODEL_CONFIG_MAPPING = defaultdict(lambda: types.SimpleNamespace(underscore_to_dot=False))
sys.modules[models.__name__] = models
for name, members in {"numpy": [], "pandas": [], "dotenv": ["load_dotenv"], "tqdm": ["tqdm"]}.items():
    module = types.ModuleType(name)
    for member in members:
        setattr(module, member, None)
    sys.modules[name] = module

from bfcl_eval._llm_response_generation import process_multi_turn_test_case  # noqa: E402
from bfcl_eval.eval_checker import eval_runner  # noqa: E402
from bfcl_eval.model_handler.base_handler import BaseHandler  # noqa: E402
from bfcl_eval.model_handler.utils import (  # noqa: E402
    default_decode_ast_prompting,
    default_decode_execute_prompting,
)
from bfcl_eval.utils import load_file  # noqa: E402


class Reciter(BaseHandler):
    """Says given texts; "Done." where there is none."""

    def decode_ast(self, result, language="Python"):
        return default_decode_ast_prompting(result, language)

    def decode_execute(self, result):
        return default_decode_execute_prompting(result)

    def _pre_query_processing_prompting(self, test_entry):
        return {}

    def _query_prompting(self, inference_data):
        if isinstance(self.texts, str):
            return self.texts, 0.0
        turn = self.texts[self.turn] if self.turn < len(self.texts) else []
        self.step += 1
        return (turn[self.step - 1] if self.step <= len(turn) else "Done."), 0.0

    def _parse_query_response_prompting(self, api_response):
        return {"model_responses": api_response, "input_token": 1, "output_token": 1}

    def add_first_turn_message_prompting(self, inference_data, first_turn_message):
        self.turn, self.step = 0, 0
        return inference_data

    def _add_next_turn_user_message_prompting(self, inference_data, user_message):
        self.turn, self.step = self.turn + 1, 0
        return inference_data

    def _add_assistant_message_prompting(self, inference_data, model_response_data):
        return inference_data

    def _add_execution_results_prompting(self, inference_data, execution_results, model_response_data):
        return inference_data


def rows(data, category):
    name = f"BFCL_v3_{category}.json"
    prompts = {row["id"]: row for row in load_file(data / name)}
    answers = data / "possible_answer" / name
    return prompts, {row["id"]: row for row in load_file(answers)} if answers.exists() else {}


def late(*_):
    raise TimeoutError


def verdict(handler, category, entry, prompt, answer):
    """Returns the error, None for a valid answer; of one entry at a time, because an exception ends a runner."""
    scores = []
    eval_runner.write_list_of_dicts_to_file = lambda name, result, directory: scores.extend(result)
    signal.alarm(5)
    try:
        if "relevance" in category:
            eval_runner.relevance_file_runner(handler, [entry], [prompt], "model", category, pathlib.Path())
        elif "multi_turn" in category:
            eval_runner.multi_turn_runner(handler, [entry], [prompt], [answer], "model", category, pathlib.Path())
        else:
            language = {"java": "Java", "javascript": "JavaScript"}.get(category, "Python")
            eval_runner.ast_file_runner(
                handler, [entry], [prompt], [answer], language, category, "model", pathlib.Path()
            )
    except Exception as e:
        return "raises: " + type(e).__name__
    finally:
        signal.alarm(0)
    if len(scores) == 1:
        return None
    wrong = scores[1]
    return wrong["error_type"] if "error_type" in wrong else wrong["error"]["error_type"]


def judge(results, data, out):
    handler = Reciter("model", 0)
    for path in sorted(results.glob("*_result.json")):
        category = path.name.removeprefix("BFCL_v3_").removesuffix("_result.json")
        prompts, answers = rows(data, category)
        for entry in load_file(path, sort_by_id=True):
            prompt = prompts[entry["id"]]
            error = verdict(handler, category, entry, prompt, answers.get(entry["id"]))
            line = {"file": path.name, "id": entry["id"], "valid": error is None, "error": error or ""}
            print(json.dumps(line), file=out)


def write(results, data, out):
    handler = Reciter(results.name, 0)
    cache = {}
    for line in sys.stdin:
        given = json.loads(line)
        category = given["id"].rsplit("_", 1)[0]
        if category not in cache:
            cache[category] = rows(data, category)[0]
        entry = process_multi_turn_test_case([json.loads(json.dumps(cache[category][given["id"]]))])[0]
        handler.texts = given["texts"]
        result, metadata = handler.inference(entry, False, True)
        handler.write({"id": given["id"], "result": result, **metadata}, results.parent)


def main():
    signal.signal(signal.SIGALRM, late)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # bfcl-eval prints
    mode, results, data = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    {"judge": judge, "write": write}[mode](results, data, out)


if __name__ == "__main__":
    main()
