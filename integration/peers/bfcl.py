"""Judges answers as bfcl-eval does: JSON lines on standard input, one verdict a line on standard output.

A line is {"category", "function", "ground_truth", "raw"}, a verdict {"valid", "error"}. The decoder and the checker are
those of the installed bfcl-eval; what surrounds them in its runner (two short checks of the decoder's output) is called
in the runner's order. An exception of the checker, which would end a run of the original, is the error "raises: …".

python bfcl.py < cases > verdicts     # --version prints that of bfcl-eval
"""

import importlib.metadata
import json
import signal
import sys
import types
import warnings
from collections import defaultdict

warnings.simplefilter("ignore")
# The table of all models imports the clients of all their makers. The checker asks it only whether a model needs
# names without dots.
models = types.ModuleType("bfcl_eval.constants.model_config")
models.MODEL_CONFIG_MAPPING = defaultdict(lambda: types.SimpleNamespace(underscore_to_dot=False))
sys.modules[models.__name__] = models

from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # noqa: E402
from bfcl_eval.model_handler.utils import default_decode_ast_prompting  # noqa: E402
from bfcl_eval.utils import is_empty_output, is_function_calling_format_output  # noqa: E402

try:  # since 2025.8.25
    from bfcl_eval.constants.enums import Language, ReturnFormat

    LANGUAGES = {name: (getattr(ReturnFormat, name.upper()), getattr(Language, name.upper()))
                 for name in ("Python", "Java", "JavaScript")}
except ImportError:
    LANGUAGES = {name: (name, name) for name in ("Python", "Java", "JavaScript")}


def relevance(case):
    called = False
    try:
        called = not is_empty_output(default_decode_ast_prompting(case["raw"], LANGUAGES["Python"][0]))
    except Exception:
        pass
    if "irrelevance" in case["category"]:
        return "irrelevance_error:decoder_success" if called else None
    return None if called else "relevance_error:decoder_failed"


def language(category):
    if "javascript" in category:
        return "JavaScript"
    return "Java" if "java" in category else "Python"


def late(*_):
    raise TimeoutError


def judge(case):
    """Returns the error, None for a valid answer. An operation such as 9 ** 9 ** 9 ends after two seconds."""
    signal.alarm(2)
    try:
        return verdict(case)
    except Exception as e:
        return "raises: " + type(e).__name__
    finally:
        signal.alarm(0)


def verdict(case):
    category = case["category"]
    if "relevance" in category:
        return relevance(case)
    form, lang = LANGUAGES[language(category)]
    try:
        decoded = default_decode_ast_prompting(case["raw"], form)
    except Exception:
        return "ast_decoder:decoder_failed"
    if not is_function_calling_format_output(decoded):
        return "ast_decoder:decoder_wrong_output_format"
    result = ast_checker(case["function"], decoded, case["ground_truth"], lang, category, "model")
    return None if result["valid"] else result["error_type"]


def main():
    if sys.argv[1:] == ["--version"]:
        print(importlib.metadata.version("bfcl-eval"))
        return
    signal.signal(signal.SIGALRM, late)
    verdicts, sys.stdout = sys.stdout, sys.stderr  # the checker prints
    for line in sys.stdin:
        error = judge(json.loads(line))
        print(json.dumps({"valid": error is None, "error": error or ""}), file=verdicts)


if __name__ == "__main__":
    main()
