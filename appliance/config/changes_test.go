package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

func TestChangeLinesAreATree(t *testing.T) {
	got := config.ChangeLines([]config.Difference{
		{Name: "hostname", Old: "a.example.com", New: "b\x1b.example.com"},
		{Name: "interfaces", Children: []config.Difference{
			{Name: "interface", Key: "Data 1", Kind: config.Added, Children: []config.Difference{
				{Name: "port", Kind: config.Added, New: "22"},
				{Name: "group", Kind: config.Added},
			}},
			{Name: "interface", Key: "Data 2", Kind: config.Removed, Children: []config.Difference{
				{Name: "port", Kind: config.Removed, Old: "22"},
			}},
		}},
		{Name: "passphrase", Old: "*****", New: "*****"},
		{Name: "servers"},
	}, "->")
	want := []config.ChangeLine{
		{0, "hostname", `a.example.com -> "b\x1b.example.com"`},
		{0, "interfaces", ""},
		{1, "interface Data 1", "added"},
		{2, "port", "22"},
		{2, "group", "(none)"},
		{1, "interface Data 2", "removed"},
		{0, "passphrase", "changed"},
		{0, "servers", "order changed"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnprintableCommentIsRefused(t *testing.T) {
	for _, comment := range []string{"a\x1b[2Jb", "two\nlines", "\xff", strings.Repeat("x", 1001)} {
		if _, ok := refusal.Text(config.CheckComment(comment)); !ok {
			t.Errorf("CheckComment(%.20q) is no refusal", comment)
		}
	}
	if err := config.CheckComment("über"); err != nil {
		t.Error(err)
	}
}
