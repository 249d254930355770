package job

import (
	"fmt"

	"itool/ops/config"
	"itool/stages/policy/model"
)

// sharedSlots is the number of items at once with a model whose weights are read from memory for every
// token: the trees of all slots share a reading. Measured with 135 million parameters on two cores, eight
// trees draw twice as many tokens a second as two.
const sharedSlots = 8

// cachedParameters is the size up to which the processor's caches hold a model: there the trees of a slot
// for each core keep all cores busy, and more gain nothing.
const cachedParameters = 4_000_000

// promptTokens is what a tree's prompt may take; most are shorter.
const promptTokens = 2048

// Slots chooses how many items to work on at once: by the model's size, the number of cores, and the bytes
// of memory that are free (0: unknown). why says it to a person.
func Slots(shape model.Config, cfg config.Config, cores int, free uint64) (n int, why string) {
	parameters := shape.Parameters()
	if parameters <= cachedParameters {
		return cores, "one for each core, since the processor's caches hold the model"
	}
	n = max(cores, sharedSlots)
	if free == 0 {
		return n, "their trees share each reading of the weights"
	}
	token := 2 * 4 * shape.NumLayers * shape.NumKVHeads * shape.HeadDim // bytes of keys and values
	tree := max(1, token*(promptTokens+cfg.Expand.TokenBudget))
	const perWeight, spare = 8, 4 // bytes of a small model's weight; a quarter of the memory stays free
	left := int(min(free, 1<<50)) - int(min(free, 1<<50))/spare - perWeight*parameters
	if fit := max(1, left/tree); fit < n {
		return fit, fmt.Sprintf("memory has room for that many trees of up to %d MiB", tree>>20)
	}
	return n, "their trees share each reading of the weights"
}
