#!/bin/sh
# Makes report.png for the README: a demo run, its page as a file, and a headless Chromium.
#   sh ops/guide/picture.sh            (from the repository root)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go run ./ops/itool demo --dir "$dir/run" "$@"
${CHROMIUM:-chromium} --headless=new --no-sandbox --disable-gpu --hide-scrollbars \
	--window-size=1280,1130 --screenshot="$dir/report.png" "file://$dir/run/report.html#examples"
cp "$dir/report.png" ops/guide/report.png
ls -l ops/guide/report.png
