package bench

import (
	"encoding/json"
	"strings"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// decodeRule returns the rule with the given fields, which are written as in a topology. The error
// is a *topology.RuleError.
func decodeRule(fields map[string]string) (r topology.Rule, err error) {
	for key, text := range fields {
		fields[key] = strings.ToValidUTF8(text, "\uFFFD")
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
