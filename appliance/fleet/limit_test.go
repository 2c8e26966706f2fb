package fleet

import (
	"strings"
	"testing"
)

// A fleet says how many of its appliances the limit of descriptors does for.
func TestDescriptorsAreCounted(t *testing.T) {
	if err := checkDescriptors(otherDescriptors+20, 20, 20); err != nil {
		t.Error(err)
	}
	if err := checkDescriptors(0, 1_000_000, 1_000_000); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	err := checkDescriptors(otherDescriptors+19, 20, 20)
	if err == nil || !strings.Contains(err.Error(), "which do for 19 of them") {
		t.Errorf("one descriptor too few: %v", err)
	}
	err = checkDescriptors(otherDescriptors+47, 20, 60)
	if err == nil || !strings.Contains(err.Error(), "which do for 15 of them") {
		t.Errorf("three doors each: %v", err)
	}
}
