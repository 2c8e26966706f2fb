package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// The example of the README about topologies is a valid topology, and the README names every
// key and every option.
func TestTopologyReadme(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "fixtures", "topologies", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("the page has no example")
	}
	if _, err := box.LoadTopology("README.md", example[1]); err != nil {
		t.Errorf("the example: %v", err)
	}
	named := map[string]bool{}
	for _, word := range regexp.MustCompile(`[a-z][a-z0-9_-]*`).FindAllString(string(page), -1) {
		named[word] = true
	}
	for _, key := range slices.Sorted(maps.Keys(yamlKeys(reflect.TypeFor[topology.Topology](), map[string]bool{}))) {
		if !named[key] {
			t.Errorf("the page does not name the key %s", key)
		}
	}
	for _, name := range peers.Names() {
		kind, _ := peers.Lookup(name)
		if !named[name] {
			t.Errorf("the page does not name the service %s", name)
		}
		for option := range kind.Options {
			if !named[option] {
				t.Errorf("the page does not name the option %s of %s", option, name)
			}
		}
	}
}

// yamlKeys adds the keys of a type, and of the types of its fields, to keys.
func yamlKeys(t reflect.Type, keys map[string]bool) map[string]bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		yamlKeys(t.Elem(), keys)
	case reflect.Struct:
		if !strings.HasSuffix(t.PkgPath(), "netsim/topology") {
			break
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if key, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); key != "" && key != "-" {
				keys[key] = true
				yamlKeys(f.Type, keys)
			}
		}
	}
	return keys
}
