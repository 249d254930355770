package main

import (
	"strings"

	"github.com/alecthomas/kong"

	"itool/ops/starter"
)

// setLongHelp puts the long help texts where a tag has their name. It does so before kong fills in its variables: if
// these texts were variables, kong would go through all of them for every flag, which took 0.2 s of every start.
func setLongHelp(k *kong.Kong) error {
	texts := longHelp()
	fill := func(help *string) {
		name, isName := strings.CutPrefix(*help, "${")
		if text, ok := texts[strings.TrimSuffix(name, "}")]; isName && ok {
			*help = text
		}
	}
	return kong.Visit(k.Model, func(n kong.Visitable, next kong.Next) error {
		switch n := n.(type) {
		case *kong.Node:
			fill(&n.Help)
		case *kong.Value:
			fill(&n.Help)
		case *kong.Flag:
			fill(&n.Help)
		}
		return next(nil)
	})
}

// longHelp are the help texts that are too long for the line of their flag, by the name
// that stands in the flag's tag: type_field.
func longHelp() map[string]string {
	return map[string]string{
		"commands_complete": "Print a script that completes commands, flags, settings and runs in a shell: " +
			"source <(itool completion bash).",
		"commands_run": "Run everything on your dataset and model, in one process. The same command again " +
			"resumes.",
		"commands_conform": "Check a worker of one stage that you wrote, in any language, on a private broker and " +
			"store: itool conform filter -- ./my-filter {broker} {store} {run}.",
		"conform_command": "The program, after --. {broker}, {store} and {run} in its arguments are replaced; the " +
			"environment has them as ITOOL_BROKER, ITOOL_STORE and ITOOL_RUN.",
		"conform_set": "One setting of the small run that gives the items, such as filter.mode=proven. Repeatable.",
		"conform_ackwait": "The queue's ack_wait: the program must send heartbeats three times as often. Give a " +
			"trainer that blocks for long more.",
		"commands_retire": "Give back what an ended run holds at the broker. Report and export still work, its " +
			"files stay in the store; search trees and failures go.",
		"commands_fork": "Start another run that begins with a round of an existing one, with other settings.",
		"fork_fromround": "Round to begin with: everything that leads to its policy is copied; 0: after the " +
			"warm-up.",
		"commands_gc": "Say what in the store belongs to no run any more, such as what retired runs have left, and " +
			"delete it.",
		"commands_fsck":   "Check that the store has everything that the records of the runs name.",
		"commands_resume": "Go on with a run of itool run that was interrupted or stalled, from what its folder holds.",
		"failed_requeue": "Let workers try them again, once their cause is mended; a run that is stalled by them " +
			"goes on.",
		"resume_dir": "The run's folder; default: itool-runs/NAME.",
		"commands_data": "Say what is in dataset files, as a run would read them: what is kept, dropped and learnt, " +
			"tokens, tools, duplicates, doubtful rows.",
		"data_against": "A file that the data should not hold, such as a benchmark's: questions that are in both " +
			"are counted. Repeatable.",
		"commands_deploy": "Write the configuration that gives each stage its own login, with the least rights, at " +
			"broker and store.",
		"deploy_passwords": "Choose random passwords and write them to passwords.env, instead of leaving them empty.",
		"commands_estimate": "Say what a run will take on this machine in time and memory, from a small pilot of " +
			"it.",
		"commands_import": "Write a GGUF file (llama.cpp) as a Hugging Face folder, which every other command " +
			"takes as a model.",
		"commands_quantize": "Write a model with its weights in four bits (NF4), to train adapters on as QLoRA " +
			"does.",
		"commands_serve": "Answer HTTP requests with a policy, as OpenAI's API does: completions, chat with " +
			"tools, streaming.",
		"commands_lab": "Compare settings: arms × seeds from a specification, with intervals. The same command " +
			"again resumes.",
		"commands_build": "Print the version, the commit it was built from, and the kernel level.",
		"commands_cache": "Folder for models that are made of GGUF files and of runs, once for each; default: " +
			"itool in the user's cache folder.",
		"commands_cublaslt": "Large products on a GPU by cuBLASLt, if it is there (auto), or never (off). With it " +
			"results have other bits.",
		"commands_device": "Compute on cpu (the default), cuda:N (a GPU by its number) or auto (a GPU, if there is " +
			"one). GPUs need a binary built with -tags gpu.",
		"commands_judge": "A program of yours that says whether answers are right, in place of the check by the " +
			"reference: a command, or an http(s) URL.",
		"commands_judgetimeout": "How long the judge may take for a batch of up to 32 answers.",
		"commands_kernels": "Compute at this kernel level: avx512, avx2, neon (Arm) or go, or with products in bf16 " +
			"avx512bf16 or amx; default: the best this machine has in float32. itool doctor lists them.",
		"commands_eval": "Ask a model the questions of a benchmark or a dataset, and judge its answers. The same " +
			"command again resumes.",
		"eval_bench": "Questions: bfcl (the Berkeley Function Calling Leaderboard, version 3) or apibank (levels 1 " +
			"and 2), both with --data, or a dataset file in any format that a run takes. Repeatable.",
		"eval_data": "The benchmark's folder: of bfcl that with BFCL_v3_*.json and possible_answer/, of apibank that " +
			"with test-data/.",
		"eval_texts": "Of BFCL's multi_turn_long_context: the texts that fill its results, BFCL's long_context.py; " +
			"default: looked for beside --data.",
		"commands_examples": "Show single examples with every policy's answer, the difference to the reference " +
			"marked: what is wrong, was won or lost.",
		"commands_tree": "Show the search tree of one example with its answers and pairs, or list the trees.",
		"commands_trace": "Say which pairs a policy or an adapter was trained on, and where a pair or an example " +
			"comes from and what came of it.",
		"examples_type": "Only those that policy --to answered wrongly in this way, such as 'parameter value'; " +
			"itool report --errors lists the types.",
		"examples_part": "Only this part: test, validation, or train (examples that were searched, with the " +
			"likeliest answer of each tree); default: all that were evaluated.",
		"examples_suspects": "Show references that may be wrong: several policies are sure of another answer, and " +
			"agree.",
		"examples_exclusions": "With --suspects: write them to this file as well, which --exclude of itool run and " +
			"itool publish takes.",
		"tree_round": "Policy that searched: 0 is the warm-up; default: the last one that searched the example, with " +
			"--list all.",
		"tree_dropped": "With --list: only trees in which a node gave no pair for this reason, such as " +
			"small_q_difference.",
		"tree_kind": "With --list: only trees with a pair of this kind: value, parameter, tool, end, call or other.",
		"trace_what": "A policy (base, warm-up, 1 …, or a digest), the folder of an adapter, a pair " +
			"(ROUND/EXAMPLE/NODE), a tree (ROUND/EXAMPLE) or an example's ID.",
		"export_round": "Policy of this round: 0 is the warm-up; default: the last one. With --pairs: the policy " +
			"that searched; default: all rounds.",
		"export_pairs": "Write the preference pairs as JSON lines instead, in TRL's conversational format: prompt, " +
			"chosen, rejected, tools.",
		"policy_round": "Policy of this round of the run: 0 is the warm-up; default: the last one.",
		"report_full": "Print all tables: data, errors by type, diagnostics, the funnel, pairs, training, settings " +
			"that differ from the paper, times.",
		"report_errors": "Print which errors went, stayed and came with each policy, by type, tool and parameter, " +
			"and how readily it calls.",
		"eval_model": "Ask this model: a folder in Hugging Face format, or a GGUF file.",
		"eval_endpoint": "Ask a model behind an address that speaks OpenAI's chat completions with tools, such as " +
			"http://127.0.0.1:8000/v1.",
		"eval_key": "With --endpoint: the bearer token. Better given as ITOOL_API_KEY: a command line can be read " +
			"by others.",
		"eval_answers": "Judge the answers in this folder instead of asking: ours, or those of bfcl-eval " +
			"(BFCL_v3_*_result.json).",
		"eval_out":     "Folder for the answers, in bfcl-eval's result format; default: itool-eval/MODEL.",
		"eval_against": "Compare with the answers in this folder, question by question.",
		"source_datasets": "Dataset files: JSON, JSON lines or Parquet, also packed. FILE:2 takes its training " +
			"examples twice, FILE:0.5 half of them. A BFCL question file finds its answers in possible_answer/ " +
			"beside it.",
		"source_validation": "A further dataset file that is validation as a whole: never trained on. Repeatable. " +
			"Adds to split.validation_files.",
		"source_exclude": "Leave out the rows that this file names, such as doubtful labels that itool examples " +
			"--suspects --exclusions wrote. Repeatable. Adds to split.exclude.",
		"source_base": "Base model: a folder in Hugging Face format (config.json, safetensors, tokenizer.json, " +
			"chat template), a GGUF file, or a run, whose last policy (RUN@2: that of round 2) becomes the base. " +
			"Default: the demo's, which knows a made-up world and is for trying things out.",
		"source_set": "One setting, such as line.rounds=1. It wins over the file. Repeatable.",
		"target_broker": "The broker: nats://HOST:PORT, or several nodes with commas between (--nats means the " +
			"same). tls:// wants TLS; nats:// uses it if the server wants it.",
		"target_creds": "Log in with this .creds file (a JWT and its key).",
		"target_nkey":  "Log in with the nkey seed in this file.",
		"target_user":  "Log in as this user; the password is in ITOOL_NATS_PASSWORD or in --password-file.",
		"target_inbox": "Answers of the broker arrive on _INBOX_NAME.>, for a user who may read only those." +
			" See deploy-config.",
		"target_pass": "File with the password of --user. The token of a broker that wants one goes into " +
			"ITOOL_NATS_TOKEN.",
		"target_ca":   "Authority of the broker's certificates, a PEM file.",
		"target_cert": "Certificate that this client shows the broker, a PEM file, with its --key.",
		"target_key":  "Key of --cert, a PEM file.",
		"target_copies": "Copies of every stream that this process makes: 3 on a cluster of three; default: 1. " +
			"publish and work keeper raise streams that have fewer.",
		"target_store": "The store: disk:PATH or minio://HOST:PORT/BUCKET[/PREFIX][?region=NAME&style=path|host]; " +
			"minios:// for TLS. Keys: ITOOL_MINIO_ACCESS_KEY, ITOOL_MINIO_SECRET_KEY and, if there is one, " +
			"ITOOL_MINIO_SESSION_TOKEN, or --store-keys.",
		"target_keys": "Where the store's keys are, if not in the environment: a file as ~/.aws/credentials, or " +
			"cloud: AWS_ACCESS_KEY_ID …, ~/.aws, the role of the pod, container or machine.",
		"target_storeca": "Authority to trust for minios://, besides those of the system, a PEM file.",
		"target_connection": "YAML file with settings of this group, such as stream_replicas: 3, where neither a " +
			"flag nor the environment gives one.",
		"target_dir": "The folder of a run made by itool run, or of itool up, instead of broker and store; default: " +
			"the run's in itool-runs, else itool-up.",
		"demo_dir": "Folder for broker, store, adapter and report; default: itool-runs/demo, with --quick " +
			"itool-runs/demo-quick.",
		"export_dtype": "With --merged: type of the written weights: that of the base, or bf16, f16 or f32. A " +
			"type that is too coarse for what was trained is refused.",
		"export_base": "With --merged: merge into this base instead, such as the 16-bit one of a run on four " +
			"bits; a folder, a GGUF file or a run.",
		"export_curves": "Write every step of all trainings instead: a CSV file, and event files for TensorBoard.",
		"run_curves": "At the end, write every step of all trainings into curves/ beside the adapter: a CSV file, " +
			"and event files for TensorBoard.",
		"export_base_name": "Name of the base for the adapter's settings and the model card, such as its name on " +
			"Hugging Face; default: the --base of the run.",
		"init_for": "Settings for this model, each with its reason, and what a run takes in memory and time: " +
			strings.Join(starter.Names(), ", ") + ".",
		"import_dtype": "Type of weights that the file has quantized: bf16 (rounded to nearest) or f32 (exact, " +
			"twice the size). Weights in F32, F16 and BF16 stay what they are.",
		"import_template": "Chat template for the folder, instead of the file's; a file without one needs it to " +
			"be of use here.",
		"lab_dir": "Folder for broker, store, report and tables; default: itool-runs/lab-NAME.",
		"lab_atonce": "Seeds that run at once. The arms of a seed follow one another, to reuse results; with more " +
			"than one, no CPU time is measured.",
		"lab_tuninglog":  "Where a specification with tuning: true writes down everything that it tried.",
		"quantize_model": "Model: a folder in Hugging Face format, a GGUF file, or a run.",
		"commands_chat":  "Talk with a policy in the terminal: calls of tools are shown, their results are typed in.",
		"chat_tools": "File of the tools that the model may call: a JSON array as OpenAI, ToolACE or BFCL " +
			"write it.",
		"engine_url": "Server that computes for score, select, expand and evaluate: vLLM, SGLang, llama.cpp or " +
			"itool serve, such as http://gpu1:8000. Repeatable; all of one kind. See the guide, remote.md.",
		"engine_key": "Sent to the servers as a bearer token. Better given as ITOOL_ENGINE_KEY: a command line can " +
			"be read by others.",
		"engine_adapters": "Folder for adapters that the servers can read, too; DIR=THERE if it is called THERE " +
			"where they run.",
		"serve_adapters": "Let clients load adapters from this folder (/v1/load_lora_adapter), as workers with " +
			"--engine do.",
		"serve_model": "Take this model instead, a folder or a GGUF file; without it and without a run: the " +
			"demo's base.",
		"serve_apikey": "Clients must send this key as a bearer token. Better given as ITOOL_API_KEY: a command " +
			"line can be read by others.",
		"serve_insecure": "Listen on other addresses than this machine's own without a key: all who reach the " +
			"port may ask.",
		"serve_cors": "Let pages of this origin, such as https://app.example, ask from a browser; *: all. " +
			"Repeatable.",
		"serve_log": "Append a JSON line for each request to this file, without texts and keys: route, status, " +
			"tokens, times; -: stderr.",
		"serve_weights": "How weights are kept: float32; stored (in the type of the file, a large one is " +
			"mapped); int8 (rounded to eight bits); auto: float32 up to 1 GiB, else stored. Four bits stay four " +
			"bits unless float32 is asked for.",
		"serve_calls": "How the model writes calls; auto: as the run's split.call_format says, or as the chat " +
			"template asks.",
		"serve_tools_in": "With --model, where tools are written: template (where the chat template writes them) or " +
			"system (in the system message, for a chat template that leaves tools out).",
		"serve_tokens": "Tokens of the answers that are drawn together, prompts included, what they share once; " +
			"default: what 1 GiB holds, one context at least.",
		"serve_answer": "Most tokens of an answer when a request does not say; each reserves its room.",
		"commands_ui":  "Serve the page of runs: what came of them, where they stand, where they are wrong.",
		"ui_listen":    "Address to listen on; port 0: any free one.",
		"ui_token": "Visitors must give this token, and may then queue failed items again. Better given as " +
			"ITOOL_UI_TOKEN: a command line can be read by others.",
		"ui_host":    "Name by which the page may be asked for, besides localhost and IP addresses. Repeatable.",
		"watch_json": "Print a line of JSON whenever the run gets on; the last one is its outcome.",
		"watch_web":  "Serve the page of the run at this address, such as 127.0.0.1:0 (port 0: any free one).",
		"web_option": "Serve the page of the run at this address, port 0: any free one; off: do not.",
		"up_ackwait": "How long a dead worker's item waits for another, at least; workers may ask for more.",
		"watch_patience": "How long nothing may happen in a run that waits, as for a worker or a store, before it " +
			"counts as stalled (exit code 4); 0: no limit.",
		"up_store": "Another store than the one in DIR: disk:PATH or minio://HOST:PORT/BUCKET (keys: " +
			"ITOOL_MINIO_ACCESS_KEY, ITOOL_MINIO_SECRET_KEY; minios:// for TLS). DIR remembers it.",
		"listen": "Serve /metrics, /healthz, /readyz and /scale/STAGE at HOST:PORT, without a login: run names and " +
			"numbers, no contents.",
		"work_workers": "Keep 0 to 16 workers on this machine, say, by the number of items that are left: more at " +
			"once, fewer after --quiet. Each is a process with --slots items; default of --slots: the cores that " +
			"are there for each.",
		"work_quiet":   "With --workers: how long fewer must have been enough before some are let go.",
		"work_devices": "With --workers: GPUs, such as 0,1. Each worker gets one (CUDA_VISIBLE_DEVICES).",
		"work_places":  "With --devices: workers that share a GPU.",
		"work_ackwait": "How long a dead worker's item waits for another. At least 3s; heartbeats come three " +
			"times as often.",
	}
}
