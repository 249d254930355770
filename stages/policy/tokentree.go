package policy

import "itool/stages/policy/kernel"

// tokenTree records the tokens that a session has drawn and computed, by what they follow. Draws from
// one place often begin alike, and a later draw often repeats what an earlier one drew. Such a token is
// computed once: its keys and values are in the cache, and the tree keeps its row of the residual stream,
// from which the head makes the logits of the next token.
//
// A node is a token behind a cache slot, which stands for all tokens before it, since a slot has one path.
// Nodes are added in the order of their slots, and removed in reverse, as the session's stack of slots.
type tokenTree struct {
	d      kernel.Device
	width  int           // C
	first  []int32       // by slot + 1: the newest node that follows the slot, or −1; [0] is for an empty path
	nodes  []tokenNode   // ascending by slot
	hidden kernel.Floats // (nodes, C), the residual stream behind the last layer
}

type tokenNode struct {
	after int32 // the slot of the token before, or −1
	next  int32 // the node before this one that follows the same slot, or −1
	token int32
	slot  int32
	head  int32 // in a step: the row of the head that computes this node's logits, or −1
}

// find returns the node of token after a slot, or −1.
func (t *tokenTree) find(after, token int32) int32 {
	if int(after)+1 >= len(t.first) {
		return -1
	}
	n := t.first[after+1]
	for n >= 0 && t.nodes[n].token != token {
		n = t.nodes[n].next
	}
	return n
}

// add makes a node; its row of hidden is to be written.
func (t *tokenTree) add(after, token, slot int32) int32 {
	if t.nodes == nil { // room for the first draws at once, as the cache has it
		t.first, t.nodes = make([]int32, 0, 2*firstSlots), make([]tokenNode, 0, firstSlots)
		t.hidden = t.d.Floats(firstSlots * t.width)
	}
	for len(t.first) <= int(after)+1 {
		t.first = append(t.first, -1)
	}
	n := int32(len(t.nodes))
	t.nodes = append(t.nodes, tokenNode{after: after, next: t.first[after+1], token: token, slot: slot, head: -1})
	t.first[after+1] = n
	if len(t.nodes)*t.width > t.hidden.Len() {
		t.hidden = longer(t.d, t.hidden, 2*t.hidden.Len())
	}
	return n
}

// rows are the rows of the residual stream (n, C) of n nodes from first on.
func (t *tokenTree) rows(first int32, n int) kernel.Floats {
	return t.hidden.Slice(int(first)*t.width, (int(first)+n)*t.width)
}

// truncate removes the nodes of the slots from used on.
func (t *tokenTree) truncate(used int) {
	for n := len(t.nodes) - 1; n >= 0 && int(t.nodes[n].slot) >= used; n-- {
		t.first[t.nodes[n].after+1] = t.nodes[n].next
		t.nodes = t.nodes[:n]
	}
}
