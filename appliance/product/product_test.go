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
		t.Error("8.5.5 is older than 14.0.0, and no version is older than itself")
	}
	for _, bad := range []string{"", "14", "14.0", "14.0.0-", "14.0.x", "-1.0.0", "14.0.0-12345678"} {
		if _, err := product.ParseVersion(bad); err == nil {
			t.Errorf("%q was taken for a version", bad)
		}
	}
}

func TestNames(t *testing.T) {
	for model, want := range map[string]string{
		"C100V": "Cisco C100V Email Security Virtual Appliance",
		"C690":  "Cisco C690 Email Security Appliance",
	} {
		if got := (product.Facts{Model: model}).Name(); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
}
