package entropy_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/entropy"
)

func TestStreamsDependOnSeedAndNameOnly(t *testing.T) {
	a := entropy.Seeded(1).Stream("a").Uint64()
	if b := entropy.Seeded(1).Stream("a").Uint64(); a != b {
		t.Error("the same seed and name gave different numbers")
	}
	if b := entropy.Seeded(1).Stream("b").Uint64(); a == b {
		t.Error("different names gave the same number")
	}
	if b := entropy.Seeded(2).Stream("a").Uint64(); a == b {
		t.Error("different seeds gave the same number")
	}
	if again := entropy.System().Stream("a").Uint64(); again == entropy.System().Stream("a").Uint64() {
		t.Error("System gave the same number twice")
	}
}

func TestNumbersStayInRange(t *testing.T) {
	s := entropy.Seeded(1).Stream("range")
	for range 1000 {
		if n := s.IntN(3); n < 0 || n > 2 {
			t.Fatalf("IntN(3) = %d", n)
		}
		if f := s.Float64(); f < 0 || f >= 1 {
			t.Fatalf("Float64() = %v", f)
		}
	}
}
