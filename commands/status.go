package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "status",
	Summary: "Show the status of the system.",
	Help: "status [detail]\n\n" + foldHelp("Shows the counters of mail since the last "+
		"resetcounters, since the system came up, and over its lifetime, and how much mail there "+
		"is now. With detail, also the kinds of bounces, the last identifiers, and the rates in "+
		"events an hour."),
	Source: "public (names, head), mail.md (layout), invented (the age of the oldest message)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(_ context.Context, env *shell.Env) error {
		detail := len(env.Args) > 0
		if len(env.Args) > 1 || detail && env.Args[0] != "detail" {
			return shell.InvalidArgumentf(env.Args[len(env.Args)-1], "The only argument is: detail.")
		}
		f := env.Appliance.Figures()
		if !detail {
			env.Printf("Enter \"status detail\" for more information.\n\n")
		}
		printStatusHead(env, &f)
		printStatusCounters(env, &f, detail)
		if detail {
			printIDsAndRates(env, &f)
		}
		printFigures(env, "Gauges:", "Current")
		if detail {
			printSystemGauges(env, &f)
		}
		printMailGauges(env, &f)
		return nil
	},
})

func printStatusHead(env *shell.Env, f *appliance.Figures) {
	reset := "Never"
	if !f.LastReset.IsZero() {
		reset = moment(env, f.LastReset)
	}
	up := fmt.Sprintf("%s (%s)", moment(env, f.Time.Add(-f.Uptime)), uptimeText(f.Uptime))
	for _, line := range [][2]string{
		{"Status as of:", moment(env, f.Time)},
		{"Up since:", up},
		{"Last counter reset:", reset},
		{"System status:", string(f.Condition)},
		{"Oldest Message:", oldestText(f.OldestMID, f.OldestAge)},
	} {
		env.Printf("%-30s %s\n", line[0], line[1])
	}
}

// uptimeText formats a duration as 22h 45m 29s or 3d 22h 45m 29s.
func uptimeText(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	text := fmt.Sprintf("%dh %02dm %02ds", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%dd %s", days, text)
	}
	return text
}

// statusCounters are the rows of the counters before and after the kinds of hard bounces.
var statusCounters = [2][]figureRow{{
	{label: "  Receiving", heading: true},
	{label: "    Messages Received", counter: metrics.InjectedMessages},
	{label: "    Recipients Received", counter: metrics.InjectedRecipients},
	{label: "    Gen. Bounce Recipients", counter: metrics.GeneratedBounces},
	{label: "  Rejection", heading: true},
	{label: "    Rejected Recipients", counter: metrics.RejectedRecipients},
	{label: "    Dropped Messages", counter: metrics.DroppedMessages},
	{label: "  Queue", heading: true},
	{label: "    Soft Bounced Events", counter: metrics.SoftBounces},
	{label: "  Completion", heading: true},
	{label: "    Completed Recipients", counter: metrics.CompletedRecipients},
	{label: "      Hard Bounced Recipients", counter: metrics.HardBounces},
}, {
	{label: "      Delivered Recipients", counter: metrics.DeliveredRecipients},
	{label: "      Deleted Recipients", counter: metrics.DeletedRecipients},
	{label: "    Global Unsub. Hits", counter: metrics.GlobalUnsubscribeHits},
}}

func printStatusCounters(env *shell.Env, f *appliance.Figures, detail bool) {
	env.Printf("\n")
	printFigures(env, "Counters:", "Reset", "Uptime", "Lifetime")
	rows := statusCounters[0]
	if detail {
		rows = append(rows[:len(rows):len(rows)], hardBounceKinds...)
	}
	for _, row := range append(rows[:len(rows):len(rows)], statusCounters[1]...) {
		if row.heading {
			env.Printf("%s\n", row.label)
			continue
		}
		v := f.Counter(row.counter)
		printFigures(env, row.label, thousands(v.Reset), thousands(v.Uptime), thousands(v.Lifetime))
	}
}

// statusRates are the rows of the rates.
var statusRates = []figureRow{
	{label: "  Receiving", heading: true},
	{label: "    Messages Received", counter: metrics.InjectedMessages},
	{label: "    Recipients Received", counter: metrics.InjectedRecipients},
	{label: "  Queue", heading: true},
	{label: "    Soft Bounced Events", counter: metrics.SoftBounces},
	{label: "  Completion", heading: true},
	{label: "    Completed Recipients", counter: metrics.CompletedRecipients},
	{label: "      Hard Bounced Recipients", counter: metrics.HardBounces},
	{label: "      Delivered Recipients", counter: metrics.DeliveredRecipients},
}

func printIDsAndRates(env *shell.Env, f *appliance.Figures) {
	env.Printf("Current IDs\n")
	printFigures(env, "  Message ID (MID)", "", "", thousands(f.MID))
	printFigures(env, "  Injection Conn. ID (ICID)", "", "", thousands(f.ICID))
	printFigures(env, "  Delivery Conn. ID (DCID)", "", "", thousands(f.DCID))
	printFigures(env, "Rates (Events Per Hour):", "1-Minute", "5-Minutes", "15-Minutes")
	for _, row := range statusRates {
		if row.heading {
			env.Printf("%s\n", row.label)
			continue
		}
		r := f.Rate(row.counter)
		printFigures(env, row.label, thousands(r.OneMinute), thousands(r.FiveMinutes),
			thousands(r.FifteenMinutes))
	}
}

// printSystemGauges prints the gauges of resources. Anti-spam and anti-virus engines are not
// simulated, and the load of the disk is not measured: they are 0.
func printSystemGauges(env *shell.Env, f *appliance.Figures) {
	env.Printf("  System\n")
	printFigures(env, "    RAM Utilization", percent(f.RAM))
	env.Printf("    CPU Utilization\n")
	printFigures(env, "      MGA", percent(f.CPU))
	printFigures(env, "      AntiSpam", percent(0))
	printFigures(env, "      AntiVirus", percent(0))
	printFigures(env, "    Disk I/O Utilization", percent(0))
	printFigures(env, "    Resource Conservation", count(f.Conservation))
	printFigures(env, "    Log Space Used", percent(f.LogUsed))
	printFigures(env, "    Log Space Available", logs.FormatDiskSpace(f.LogFree))
}

func percent(n int) string { return fmt.Sprintf("%d%%", n) }

func printMailGauges(env *shell.Env, f *appliance.Figures) {
	env.Printf("  Connections\n")
	printFigures(env, "    Current Inbound Conn.", count(f.ConnectionsIn))
	printFigures(env, "    Current Outbound Conn.", count(f.ConnectionsOut))
	env.Printf("  Queue\n")
	printFigures(env, "    Active Recipients", count(f.Queue.Recipients))
	printFigures(env, "      Unattempted Recipients", count(f.Queue.Unattempted))
	printFigures(env, "      Attempted Recipients", count(f.Queue.Attempted))
	printFigures(env, "    Messages In Work Queue", count(f.WorkQueue))
	printFigures(env, "    Messages In Quarantine", "0")
	printFigures(env, "    Destinations In Memory", count(f.Destinations))
	printFigures(env, "    Kilobytes Used", thousands(f.Queue.BytesUsed>>10))
	printFigures(env, "    Kilobytes In Quarantine", "0")
	printFigures(env, "    Kilobytes Free", thousands(f.Queue.BytesFree>>10))
}
