package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/fixtures"
)

// completionLine is the variable in which a shell passes the line that it completes.
const completionLine = "COMP_LINE"

// completionTimeout bounds how long a shell waits for words that a running appliance knows.
const completionTimeout = time.Second

// completion prints the code that makes a shell complete this program's words.
type completion struct {
	kongcompletion.Completion
}

// Help is shown by esasim completion --help.
func (completion) Help() string {
	return "Without -c it prints the line to put into the shell's start-up file," +
		" such as source <(esasim completion -c bash)." +
		" Without the name of a shell it takes the login shell."
}

// completeLine answers a shell that completes a command line. It reports whether a shell asked.
func completeLine(parser *kong.Kong, t stdio) (bool, error) {
	line := os.Getenv(completionLine)
	if line == "" {
		return false, nil
	}
	cmd, err := kongcompletion.Command(parser, kongcompletion.WithPredictors(predictors(line)))
	if err != nil {
		return true, err
	}
	cmd.Flags = cmd.Sub["serve"].GlobalFlags // serve is the default verb
	help := cmd.Sub["help"]
	help.Args = complete.PredictFunc(func(a complete.Args) []string {
		return verbsBelow(parser.Model.Node, a.Completed)
	})
	cmd.Sub["help"] = help
	c := complete.New(parser.Model.Name, cmd)
	c.Out = t.out
	return c.Complete(), nil
}

// predictors returns the predictors for a command line, by the name in the tag predictor of a
// flag or argument.
func predictors(line string) map[string]complete.Predictor {
	all := map[string]complete.Predictor{
		"action":      complete.PredictSet(topology.Actions()...),
		"protocol":    complete.PredictSet("tcp", "udp", "icmp"),
		"direction":   complete.PredictSet("in", "out"),
		"ports":       complete.PredictSet("auto"),
		"client":      complete.PredictSet("python", "shell"),
		"level":       complete.PredictSet("debug", "info", "warn", "error"),
		"passphrases": complete.PredictSet("masked", "encrypted", "plain"),
		"command":     complete.PredictSet(commandNames()...),
		"file":        complete.PredictFiles("*"),
		"directory":   complete.PredictDirs("*"),
		"deploy":      complete.PredictSet(fixtures.DeployFiles()...),
		"builtin":     complete.PredictSet(fixtures.Topologies()...),
		"topology": complete.PredictOr(
			complete.PredictSet(fixtures.Topologies()...), complete.PredictFiles("*.yaml")),
		"mail-action": complete.PredictSet(topology.MailActions()...),
		"mail-amount": complete.PredictFunc(func(complete.Args) []string {
			return mailAmounts(strings.Fields(line))
		}),
		"mail-stage": complete.PredictSet(topology.MailStages()...),
		"host":       complete.PredictFunc(func(complete.Args) []string { return hostsOf(targetOf(line)) }),
		"wait":       complete.PredictSet(box.WaitWords()...),
		"event":      complete.PredictSet(box.EventTopics()...),
		"path":       complete.PredictFunc(func(complete.Args) []string { return pathsOf(targetOf(line)) }),
	}
	running := func(list func(context.Context, *control.Client) []string) complete.Predictor {
		return askingPredictor(line, list)
	}
	maps.Copy(all, worldPredictors(line, running))
	maps.Copy(all, appliancePredictors(running))
	all["member"] = memberPredictor(line)
	return all
}

// commandNames returns the commands of the newest appliance.
func commandNames() (names []string) {
	for _, c := range commands.All() {
		names = append(names, c.Name)
	}
	return names
}

// wordAfter returns the word that follows one of some verbs in an unfinished command line.
func wordAfter(line string, verbs ...string) string {
	words := strings.Fields(line)
	for i, word := range words[:max(0, len(words)-1)] {
		if slices.Contains(verbs, word) {
			return words[i+1]
		}
	}
	return ""
}

// mailAmounts returns the amounts of the action in a command line that adds a mail server's rule.
func mailAmounts(words []string) []string {
	switch {
	case slices.Contains(words, topology.MailCertificate):
		return topology.Certificates()
	case slices.Contains(words, topology.MailCut):
		return []string{topology.CutReset, topology.CutClose}
	}
	return nil
}

// faultRefs returns the numbers of the faults, and their names unless a shell would have to quote
// them.
func faultRefs(ctx context.Context, c *control.Client) (refs []string) {
	faults, _ := c.Faults(ctx)
	for _, f := range faults {
		refs = append(refs, strconv.Itoa(f.ID))
		if name := f.Rule.Name; name != "" && !strings.ContainsAny(name, " \t'\"\\") {
			refs = append(refs, name)
		}
	}
	return refs
}

// targetOf returns the flags in an unfinished command line that name a running appliance.
func targetOf(line string) *target {
	c := &target{Socket: os.Getenv(socketVariable)}
	words := strings.Fields(line)
	for i, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok && i+1 < len(words) {
			value = words[i+1]
		}
		switch name {
		case "--appliance":
			c.Member = value
		case "--topology":
			c.Topology = value
		case "--socket":
			c.Socket = value
		case "--addr":
			_ = c.Addr.UnmarshalText([]byte(value)) // an incomplete address names no appliance
		}
	}
	return c
}

// pathsOf returns the names of the paths in the topology of a running appliance.
func pathsOf(c *target) []string {
	return namesIn(c, func(t *topology.Topology) (names []string) {
		for _, p := range t.Paths {
			names = append(names, p.Name)
		}
		return names
	})
}

// hostsOf returns the names of the hosts in the topology of a running appliance.
func hostsOf(c *target) []string {
	return namesIn(c, func(t *topology.Topology) (names []string) {
		for _, h := range t.Hosts {
			names = append(names, h.Name)
		}
		return names
	})
}

// withoutQuotes returns the names that a shell need not quote.
func withoutQuotes(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return strings.ContainsAny(name, " \t'\"\\") })
}

// namesIn returns names in the topology of a running appliance, if c names the appliance by its
// topology. Names that a shell would have to quote are left out.
func namesIn(c *target, of func(*topology.Topology) []string) []string {
	if c.Socket != "" || c.Addr.IsValid() {
		return nil // the topology is unknown
	}
	topo, err := loadTopology(c.topology())
	if err != nil {
		return nil
	}
	return withoutQuotes(of(topo))
}

// verbsBelow returns the verbs that can follow words.
func verbsBelow(node *kong.Node, words []string) (names []string) {
	for _, word := range words {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word })
		if i < 0 {
			return nil
		}
		node = node.Children[i]
	}
	for _, child := range node.Children {
		names = append(names, child.Name)
	}
	return names
}
