package pcapfilter

// An atom is a place that holds a value: a word of scratch memory by its number, the
// accumulator or the index register X.
type atom int

const (
	atomA  atom = scratchWords
	atomX  atom = scratchWords + 1
	atoms       = scratchWords + 2
	noAtom atom = -1
	atomAX atom = -2 // both registers, which a comparison with X reads
)

// An atomSet has a bit for each atom.
type atomSet uint32

func (s atomSet) has(a atom) bool { return s>>a&1 != 0 }

// with returns the union of s and a.
func (s atomSet) with(a atom) atomSet {
	switch a {
	case noAtom:
		return s
	case atomAX:
		return s | 1<<atomA | 1<<atomX
	}
	return s | 1<<a
}

// opNone replaces the operation of a statement that was optimized away.
const opNone = 0xffff

// uses returns the atom that an operation reads.
func uses(op uint16, k uint32) atom {
	if op == opNone {
		return noAtom
	}
	switch op & classMask {
	case classLd, classLdx:
		switch op & modeMask {
		case modeInd:
			return atomX
		case modeMem:
			return atom(k)
		}
		return noAtom
	case classSt:
		return atomA
	case classStx:
		return atomX
	case classAlu, classJmp:
		if op&srcX != 0 {
			return atomAX
		}
		return atomA
	case classMisc:
		if op == opTxa {
			return atomX
		}
		return atomA
	}
	return noAtom // a return of a constant
}

// defines returns the atom that an operation sets.
func defines(op uint16, k uint32) atom {
	if op == opNone {
		return noAtom
	}
	switch op & classMask {
	case classLd, classAlu:
		return atomA
	case classLdx:
		return atomX
	case classSt, classStx:
		return atom(k)
	case classMisc:
		if op == opTax {
			return atomX
		}
		return atomA
	}
	return noAtom
}

// An edge leads from a block to one of the two blocks that follow it.
type edge struct {
	from *block
	yes  bool
}

func (e edge) target() *block {
	if e.yes {
		return e.from.yes
	}
	return e.from.no
}

// index returns 0 for the edge for yes and 1 for the edge for no.
func (e edge) index() int {
	if e.yes {
		return 0
	}
	return 1
}

// redirect makes the edge lead to another block.
func (e edge) redirect(to *block) {
	if e.yes {
		e.from.yes = to
	} else {
		e.from.no = to
	}
}

// A blockRef refers to a block in a list: it is the block's id plus 1, or 0 at the end of the
// list. Numbers instead of pointers save the garbage collector work.
type blockRef int32

// blockAt returns the block of a reference; nil at the end of a list.
func (o *optimizer) blockAt(l blockRef) *block {
	if l == 0 {
		return nil
	}
	return o.blocks[l-1]
}

func (b *block) ref() blockRef { return blockRef(b.id + 1) }

// An edgeIn is an element of the list of edges that lead to a block.
type edgeIn struct {
	edge
	next *edgeIn
}

// flow contains the results of the analysis of the graph for a block.
type flow struct {
	id      int // of the block and its edge for yes; the edge for no adds len(blocks)
	level   int // maximum number of blocks before a return
	visited int // number of the last walk that visited the block

	nextAtLevel *block // next block of the same level

	in  *edgeIn   // first of the edges that lead here
	out [2]edgeIn // the block's own edges, as elements of the lists of their targets

	// For each edge: whether it is the only edge to a test, and the next element of its
	// list of collectTests.
	soleEdge   [2]bool
	nextTested [2]blockRef

	nextEqual blockRef // during merge: next element of the same bucket

	dominators     bitSet    // blocks on every path to this one, which is included
	edgeDominators [2]bitSet // for each edge, the edges on every path along it, which is included

	set       atomSet // atoms that are set here before they are read
	read      atomSet // atoms that are read here or later before they are set
	readAfter atomSet // atoms that are read after this block

	values  [atoms]valueNumber // values of the atoms after this block
	operand valueNumber        // value that the accumulator is compared with
}

// A bitSet is a set of blocks or edges by their ids.
type bitSet []uint64

func (s bitSet) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s bitSet) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }

func (s bitSet) intersect(t bitSet) {
	for i := range s {
		s[i] &= t[i]
	}
}

func (s bitSet) fill(word uint64) {
	for i := range s {
		s[i] = word
	}
}

// numberBlocks assigns ids to all reachable blocks, in the order of a walk that visits yes
// first.
func (o *optimizer) numberBlocks(b *block) {
	if b.visited == o.walk {
		return
	}
	b.visited = o.walk
	b.id = len(o.blocks)
	o.blocks = append(o.blocks, b)
	if !b.returns() {
		o.numberBlocks(b.yes)
		o.numberBlocks(b.no)
	}
}

// allocateSets allocates the sets of all blocks and edges as one piece of memory.
func (o *optimizer) allocateSets() {
	n := len(o.blocks)
	blockWords, edgeWords := (n+63)/64, (2*n+63)/64
	memory := make(bitSet, n*(blockWords+2*edgeWords))
	cut := func(words int) bitSet {
		s := memory[:words:words]
		memory = memory[words:]
		return s
	}
	for _, b := range o.blocks {
		b.dominators = cut(blockWords)
		b.edgeDominators = [2]bitSet{cut(edgeWords), cut(edgeWords)}
	}
}

// analyze computes levels, dominators and the use of atoms for the current graph.
func (o *optimizer) analyze() {
	o.walk++
	clear(o.levels)
	o.findLevel(o.root)
	o.findDominators()
	o.findUses()
	o.findEdgeDominators()
}

// findLevel computes the levels of b and all blocks after it.
func (o *optimizer) findLevel(b *block) {
	if b.visited == o.walk {
		return
	}
	b.visited = o.walk
	b.level = 0
	if !b.returns() {
		o.findLevel(b.yes)
		o.findLevel(b.no)
		b.level = max(b.yes.level, b.no.level) + 1
	}
	for len(o.levels) <= b.level {
		o.levels = append(o.levels, nil)
	}
	b.nextAtLevel = o.levels[b.level]
	o.levels[b.level] = b
}

// topDown calls f for every block, beginning with the highest level, so that each block comes
// before those that follow it. Within a level the block that was found last comes first.
func (o *optimizer) topDown(f func(b *block)) {
	for level := o.root.level; level >= 0; level-- {
		for b := o.levels[level]; b != nil; b = b.nextAtLevel {
			f(b)
		}
	}
}

// bottomUp calls f for every block except for returns, beginning with the lowest level.
func (o *optimizer) bottomUp(f func(b *block)) {
	for level := 1; level <= o.root.level; level++ {
		for b := o.levels[level]; b != nil; b = b.nextAtLevel {
			f(b)
		}
	}
}

// findDominators computes for each block which blocks are on every path to it.
func (o *optimizer) findDominators() {
	for _, b := range o.blocks {
		b.dominators.fill(^uint64(0))
	}
	o.root.dominators.fill(0)
	o.topDown(func(b *block) {
		b.dominators.add(b.id)
		if !b.returns() {
			b.yes.dominators.intersect(b.dominators)
			b.no.dominators.intersect(b.dominators)
		}
	})
}

// findEdgeDominators computes for each edge which edges are on every path along it.
func (o *optimizer) findEdgeDominators() {
	for _, b := range o.blocks {
		b.edgeDominators[0].fill(^uint64(0))
		b.edgeDominators[1].fill(^uint64(0))
	}
	o.root.edgeDominators[0].fill(0)
	o.root.edgeDominators[1].fill(0)
	n := len(o.blocks)
	o.topDown(func(b *block) {
		if b.returns() {
			return
		}
		for i, next := range [2]*block{b.yes, b.no} {
			b.edgeDominators[i].add(b.id + i*n)
			next.edgeDominators[0].intersect(b.edgeDominators[i])
			next.edgeDominators[1].intersect(b.edgeDominators[i])
		}
	})
}

// findUses computes for each block which atoms are read in it and after it.
func (o *optimizer) findUses() {
	o.topDown(func(b *block) {
		b.set, b.read, b.readAfter = 0, 0, 0
		var defined atomSet
		for _, s := range b.stmts {
			b.read |= atomSet(0).with(uses(s.op, s.k)) &^ defined
			if d := defines(s.op, s.k); d != noAtom {
				if !b.read.has(d) {
					b.set = b.set.with(d)
				}
				defined = defined.with(d)
			}
		}
		if !b.returns() {
			b.read |= atomSet(0).with(uses(b.op, b.k)) &^ defined
		}
	})
	o.bottomUp(func(b *block) {
		b.readAfter |= b.yes.read | b.no.read
		b.read |= b.readAfter &^ b.set
	})
}

// findEdgesIn lists the edges that lead to each block. The edge that was found last comes
// first.
func (o *optimizer) findEdgesIn() {
	for _, b := range o.blocks {
		b.in = nil
	}
	o.topDown(func(b *block) {
		if b.returns() {
			return
		}
		for i, to := range [2]*block{b.yes, b.no} {
			b.out[i] = edgeIn{edge{b, i == 0}, to.in}
			to.in = &b.out[i]
		}
	})
}

// findSoleEdges finds the edges that are the only one to a test.
func (o *optimizer) findSoleEdges() {
	o.bottomUp(func(b *block) {
		for i, to := range [2]*block{b.yes, b.no} {
			b.soleEdge[i] = !to.returns() && to.in.next == nil
		}
	})
}
