package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/fixtures"
)

// The prepared forms of the built-in topologies are those of their files. The program does not check
// them when it starts, so the files are checked here.
func TestPreparedTopologies(t *testing.T) {
	for _, name := range fixtures.Topologies() {
		file, data, _ := fixtures.Topology(name)
		plan, err := box.LoadBlueprint(file, data)
		if err != nil {
			t.Error(err)
			continue
		}
		want := string(plan.Topology().Prepared(data))
		if string(fixtures.Prepared(name)) == want {
			continue
		}
		path := filepath.Join(root, "fixtures", "prepared", name+".yaml")
		if !*fix {
			t.Errorf("%s is stale; go test ./cmd/esasim -run TestPreparedTopologies -fix rewrites it", path)
		} else if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
	}
}
