package transfer

import (
	"math/rand/v2"
	"testing"
)

func TestCoverage(t *testing.T) {
	for name, x := range map[string]struct {
		parts [][2]int64 // offset and length
		n     int64
		ok    bool
	}{
		"nothing":            {nil, 0, true},
		"in order":           {[][2]int64{{0, 5}, {5, 5}, {10, 1}, {11, 0}}, 11, true},
		"out of order":       {[][2]int64{{5, 5}, {10, 1}, {0, 5}}, 11, true},
		"twice":              {[][2]int64{{0, 5}, {0, 5}, {3, 4}, {1, 2}}, 7, true},
		"with a gap":         {[][2]int64{{0, 5}, {6, 5}}, 0, false},
		"the gap is filled":  {[][2]int64{{0, 5}, {6, 5}, {20, 1}, {4, 20}}, 24, true},
		"not from the start": {[][2]int64{{1, 5}}, 6, false},
	} {
		var c coverage
		for _, p := range x.parts {
			c.add(p[0], int(p[1]))
		}
		if n, ok := c.prefix(); ok != x.ok || ok && n != x.n {
			t.Errorf("%s: %d, %t; want %d, %t", name, n, ok, x.n, x.ok)
		}
	}
	var c coverage
	for _, i := range rand.Perm(maxSpans) {
		c.add(int64(i)*10, 10)
	}
	if n, ok := c.prefix(); !ok || n != maxSpans*10 {
		t.Errorf("in any order: %d, %t", n, ok)
	}
	for i := range int64(maxSpans + 1) {
		c.add(1_000_000+2*i, 1)
	}
	c.add(0, 2_000_000)
	if _, ok := c.prefix(); ok {
		t.Error("too many parts were remembered")
	}
}
