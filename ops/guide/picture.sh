#!/bin/sh
# Makes report.png for the README: a demo run, its report, and a headless Chromium.
#   sh ops/guide/picture.sh            (from the repository root)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go run ./ops/itool demo --dir "$dir/run" "$@"
${CHROMIUM:-chromium} --headless=new --no-sandbox --disable-gpu --hide-scrollbars \
	--window-size=1000,900 --screenshot="$dir/report.png" "file://$dir/run/report.html"
cp "$dir/report.png" ops/guide/report.png
ls -l ops/guide/report.png
