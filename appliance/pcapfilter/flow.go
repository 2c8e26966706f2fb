package pcapfilter

// An atom is a place that holds a value: a word of scratch memory by its number,
// the accumulator or the index register.
type atom int

const (
	atomA  atom = scratchWords
	atomX  atom = scratchWords + 1
	atoms       = scratchWords + 2
	noAtom atom = -1
	atomAX atom = -2 // both registers: what a comparison with X uses
)

// An atomSet has a bit for each atom.
type atomSet uint32

func (s atomSet) has(a atom) bool { return s>>a&1 != 0 }

// with returns s and a.
func (s atomSet) with(a atom) atomSet {
	switch a {
	case noAtom:
		return s
	case atomAX:
		return s | 1<<atomA | 1<<atomX
	}
	return s | 1<<a
}

// opNone is the operation of a statement that was optimised away.
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

// An edge leads from a block to one of the two that follow.
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

// way is 0 for the edge for yes and 1 for that for no.
func (e edge) index() int {
	if e.yes {
		return 0
	}
	return 1
}

// lead makes the edge lead to another block.
func (e edge) redirect(to *block) {
	if e.yes {
		e.from.yes = to
	} else {
		e.from.no = to
	}
}

// A link names a block in a list: its id and 1, or 0 at the end of the list.
// Numbers instead of pointers spare the garbage collector work.
type blockRef int32

// linked returns the block that a link names; nil at the end of a list.
func (o *optimizer) blockAt(l blockRef) *block {
	if l == 0 {
		return nil
	}
	return o.blocks[l-1]
}

func (b *block) ref() blockRef { return blockRef(b.id + 1) }

// An edgeIn is one of the edges that lead to a block.
type edgeIn struct {
	edge
	next *edgeIn
}

// flow is what the analysis of the graph finds out about a block.
type flow struct {
	id      int // of the block and of the edge for yes; that for no has n more
	level   int // how many blocks may follow before a return
	visited int // the last walk that came here

	nextAtLevel *block // the next of the same level

	in  *edgeIn   // the first of the edges that lead here
	out [2]edgeIn // the two that lead on, each in the list of the block it leads to

	// For either edge: whether it is the only one that leads where it leads, and
	// there is more to come; and the next in its list of collectTests.
	soleEdge   [2]bool
	nextTested [2]blockRef

	nextEqual blockRef // while equal blocks are merged: the next in the same bucket

	dominators     bitSet    // blocks on every way here, and this one
	edgeDominators [2]bitSet // for either edge, the edges on every way along it, and itself

	set       atomSet // atoms set here before they are read
	read      atomSet // atoms read here or later without having been set
	readAfter atomSet // atoms read after this block

	values  [atoms]valueNumber // what the atoms hold after this block
	operand valueNumber        // what the accumulator is compared with
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

// number gives every block that can be reached an id, in the order of a walk that
// goes to yes first.
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

// makeSets gives blocks and edges their sets, all cut from one piece of memory.
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

// analyse computes levels, dominators and the use of atoms for the graph as it is.
func (o *optimizer) analyze() {
	o.walk++
	clear(o.levels)
	o.findLevel(o.root)
	o.findDominators()
	o.findUses()
	o.findEdgeDominators()
}

// findLevel sorts the blocks below b by level.
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

// down calls f with every block, those of high levels first: a block before all
// that follow it. Within a level the last that was found comes first.
func (o *optimizer) topDown(f func(b *block)) {
	for level := o.root.level; level >= 0; level-- {
		for b := o.levels[level]; b != nil; b = b.nextAtLevel {
			f(b)
		}
	}
}

// up calls f with every block but the returns, those of low levels first.
func (o *optimizer) bottomUp(f func(b *block)) {
	for level := 1; level <= o.root.level; level++ {
		for b := o.levels[level]; b != nil; b = b.nextAtLevel {
			f(b)
		}
	}
}

// findDominators computes which blocks are on every way to a block.
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

// findEdgesUp computes which edges are on every way along an edge.
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

// findUses computes which atoms a block and those after it read.
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

// findEdgesIn lists the edges that lead to each block, the one found last first.
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

// findSoleEdges finds the edges that alone lead to a test.
func (o *optimizer) findSoleEdges() {
	o.bottomUp(func(b *block) {
		for i, to := range [2]*block{b.yes, b.no} {
			b.soleEdge[i] = !to.returns() && to.in.next == nil
		}
	})
}
