# Completion of itool for fish. Use it with:  itool completion fish | source
function __itool_complete
	set -l words (commandline -opc) (commandline -ct)
	itool __complete $words[2..-1] 2>/dev/null
end
complete -c itool -a '(__itool_complete)'
