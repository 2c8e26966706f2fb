package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// putFault is addFault for a fault with a name.
type putFault struct {
	Ref string `arg:"" name:"fault" predictor:"fault-name" help:"The name of the fault, or the number of one that exists. A name is not all digits."`
	addFault
}

func (p putFault) Run(t stdio, client *control.Client) error {
	keys, err := p.keys()
	if err != nil {
		return err
	}
	f, err := client.PutFault(context.Background(), p.Ref, keys)
	return p.print(t, f, err)
}

type updateFault struct {
	Ref  string   `arg:"" name:"fault" predictor:"fault-name" help:"The name or the number of a fault."`
	Keys []string `arg:"" name:"key=value" help:"The keys of the rule to change, such as delay=300ms. An empty value removes a key."`
	JSON bool     `name:"json" help:"Print the fault as JSON."`
}

func (u updateFault) Run(t stdio, client *control.Client) error {
	keys := map[string]any{}
	for _, word := range u.Keys {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q changes nothing: expected a key and a value, such as delay=300ms", word)
		}
		keys[strings.ReplaceAll(key, "-", "_")] = value
		if value == "" {
			keys[strings.ReplaceAll(key, "-", "_")] = nil
		}
	}
	f, err := client.PatchFault(context.Background(), u.Ref, keys)
	if err == nil && u.JSON {
		return printJSON(t.out, f)
	}
	return pointTo("esasim ctl fault list", err)
}

type enableFault struct {
	Ref string `arg:"" name:"fault" predictor:"fault-name" help:"The name or the number of a fault."`
}

func (e enableFault) Run(client *control.Client) error {
	_, err := client.EnableFault(context.Background(), e.Ref, true)
	return pointTo("esasim ctl fault list", err)
}

type disableFault struct {
	Ref string `arg:"" name:"fault" predictor:"fault-name" help:"The name or the number of a fault."`
}

func (d disableFault) Run(client *control.Client) error {
	_, err := client.EnableFault(context.Background(), d.Ref, false)
	return pointTo("esasim ctl fault list", err)
}

type showFault struct {
	Ref string `arg:"" name:"fault" predictor:"fault-name" help:"The name or the number of a fault."`
	output
}

func (s showFault) Run(t stdio, client *control.Client) error {
	f, err := client.Fault(context.Background(), s.Ref)
	return s.print(t, f, pointTo("esasim ctl fault list", err), func(io.Writer) error {
		return printList(output{}, t, []netsim.Fault{f}, nil, faultListing())
	})
}

type setFaults struct {
	File string `arg:"" predictor:"file" help:"A file with a list of rules in JSON, or - for standard input. The key enabled may be false."`
	JSON bool   `name:"json" help:"Print all faults as JSON."`
}

func (s setFaults) Run(t stdio, client *control.Client) error {
	text, err := readInput(t, s.File)
	if err != nil {
		return err
	}
	var specs []control.FaultSpec
	if err := json.Unmarshal(text, &specs); err != nil {
		return fmt.Errorf("%s: expected a list of rules such as [{\"action\": \"drop\"}]: %w", s.File, err)
	}
	list, err := client.SetFaults(context.Background(), specs)
	if err == nil && s.JSON {
		return printJSON(t.out, list)
	}
	return err
}

// readInput returns the content of a file; - is standard input.
func readInput(t stdio, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(t.in)
	}
	return os.ReadFile(name)
}

type ctlPreset struct {
	List   listPresets  `cmd:"" help:"List sets of faults that break the network in common ways."`
	Add    addPreset    `cmd:"" help:"Add the faults of a preset."`
	Remove removePreset `cmd:"" help:"Remove the faults of a preset."`
}

type listPresets struct{ output }

func (l listPresets) Run(t stdio, client *control.Client) error {
	list, err := client.Presets(context.Background())
	return printList(l.output, t, list, err, listing[netsim.Preset]{
		headings: "NAME\tSTATE\tEFFECT",
		row: func(p netsim.Preset) string {
			state := "-"
			if p.Active {
				state = "active"
			}
			return fmt.Sprintf("%s\t%s\t%s", p.Name, state, p.Title)
		},
	})
}

type addPreset struct {
	Name string `arg:"" predictor:"preset" help:"The name of a preset: see esasim ctl preset list."`
}

func (a addPreset) Run(client *control.Client) error {
	return pointTo("esasim ctl preset list", client.SetPreset(context.Background(), a.Name, true))
}

type removePreset struct {
	Name string `arg:"" predictor:"preset" help:"The name of a preset: see esasim ctl preset list."`
}

func (r removePreset) Run(client *control.Client) error {
	return pointTo("esasim ctl preset list", client.SetPreset(context.Background(), r.Name, false))
}

type ctlAPI struct {
	List    listAPI    `cmd:"" help:"List the requests that the control API answers."`
	Version apiVersion `cmd:"" help:"Show which version runs, and what it simulates."`
	OpenAPI showAPI    `cmd:"" name:"openapi" help:"Print the OpenAPI document of the control API."`
}

type listAPI struct{ output }

func (l listAPI) Run(t stdio, client *control.Client) error {
	index, err := client.Index(context.Background())
	return l.print(t, index, err, func(io.Writer) error {
		return printList(output{}, t, index.Requests, nil, listing[control.IndexRequest]{
			row: func(r control.IndexRequest) string {
				return fmt.Sprintf("%s\t%s\t%s", r.Method, r.Path, r.Summary)
			},
		})
	})
}

type apiVersion struct{ output }

func (a apiVersion) Run(t stdio, client *control.Client) error {
	v, err := client.Version(context.Background())
	return a.print(t, v, err, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "esasim %s, %s, AsyncOS %s\n", v.Version, v.Product, v.AsyncOS)
		return err
	})
}

// showAPI prints the document of this program, which needs no appliance.
type showAPI struct{}

func (showAPI) Run(t stdio) error {
	_, err := t.out.Write(control.OpenAPI())
	return err
}
