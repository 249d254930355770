#compdef itool
# Completion of itool for zsh. Use it with:  source <(itool completion zsh)
_itool() {
	local -a found
	found=("${(@f)$(itool __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -z ${found[1]} ]]; then
		_files
	elif [[ ${found[1]} == *= ]]; then
		compadd -S '' -- "${found[@]}"
	else
		compadd -- "${found[@]}"
	fi
}
compdef _itool itool
