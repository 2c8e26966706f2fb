package check

import "slices"

// spans are the parts of a stream of bytes that have been seen, by sequence numbers of TCP.
type spans struct {
	base  uint32 // the first number that was seen
	begun bool
	list  []span // sorted, apart from each other
}

// A span is a part from a number up to another one, counted from base.
type span struct{ from, to int64 }

// add adds length bytes that begin at seq.
func (s *spans) add(seq uint32, length int) {
	if length <= 0 {
		return
	}
	if !s.begun {
		s.base, s.begun = seq, true
	}
	from := s.offset(seq)
	n := span{from, from + int64(length)}
	i, _ := slices.BinarySearchFunc(s.list, n, func(a, b span) int {
		if a.to < b.from {
			return -1
		}
		return 1
	})
	j := i
	for j < len(s.list) && s.list[j].from <= n.to {
		n.from, n.to = min(n.from, s.list[j].from), max(n.to, s.list[j].to)
		j++
	}
	s.list = slices.Replace(s.list, i, j, n)
}

// offset returns the distance of a sequence number from base. It goes on beyond 4 GiB: the number is
// near the end of what was seen.
func (s *spans) offset(seq uint32) int64 {
	end := int64(0)
	if len(s.list) > 0 {
		end = s.list[len(s.list)-1].to
	}
	return end + int64(int32(seq-(s.base+uint32(end))))
}

// length returns the number of bytes that were seen.
func (s *spans) length() int64 {
	n := int64(0)
	for _, x := range s.list {
		n += x.to - x.from
	}
	return n
}
