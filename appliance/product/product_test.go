package product_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/product"
)

func TestVersions(t *testing.T) {
	v, err := product.ParseVersion("14.0.0-698")
	if err != nil || v.String() != "14.0.0-698" || v.Release() != "14.0.0" {
		t.Fatalf("14.0.0-698 = %v, %v", v, err)
	}
	older, err := product.ParseVersion("8.5.5-027")
	if err != nil || older.String() != "8.5.5-027" {
		t.Fatalf("8.5.5-027 = %v, %v", older, err)
	}
	if !older.Before(v) || v.Before(older) || v.Before(v) {
		t.Error("want 8.5.5 before 14.0.0, and no version before itself")
	}
	for _, bad := range []string{"", "14", "14.0", "14.0.0-", "14.0.x", "-1.0.0", "14.0.0-12345678"} {
		if _, err := product.ParseVersion(bad); err == nil {
			t.Errorf("%q: want an error", bad)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		model string
		major int
		want  string
	}{
		{"C100V", 14, "Cisco C100V Email Security Virtual Appliance"},
		{"C690", 8, "Cisco C690 Email Security Appliance"},
		{"C600", 6, "IronPort C600 Messaging Gateway(tm) Appliance"},
	} {
		f := product.Facts{Model: c.model, Version: product.Version{Major: c.major}}
		if got := f.Name(); got != c.want {
			t.Errorf("%s with version %d: %q, want %q", c.model, c.major, got, c.want)
		}
	}
}

func TestVirtualModelsHaveNoRAID(t *testing.T) {
	if r, ok := (product.Facts{Model: "C100V"}).RAID(); ok {
		t.Errorf("C100V: %+v", r)
	}
	if r, ok := (product.Facts{Model: "C600"}).RAID(); !ok || r.Status != "Optimal" || r.Type != "10" {
		t.Errorf("C600: %+v, %v", r, ok)
	}
}
