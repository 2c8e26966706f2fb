package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "logconfig",
	Summary: "Configure access to log files.",
	Help: "logconfig [pushstatus]\n\n" +
		"A log subscription is a log of one type. It has a level, settings for the names and the\n" +
		"rollover of its files, and optionally a server: its files are sent there by FTP or SCP,\n" +
		"or its lines by syslog.\n\n" +
		"pushstatus shows the state of these transfers. A certificate authority is trusted for syslog\n" +
		"servers if its certificate is a file *.pem, *.crt or *.cer in the directory configuration.",
	Source: "public (list, settings), A12, A34 (syslog), invented (wording of questions)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Commit: true,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return logconfigInline(ctx, env)
		}
		return env.Menu(ctx, func() shell.Menu {
			none := len(logs.Section.Get(env.Draft).List) == 0
			return shell.Menu{
				Header: func() {
					if none {
						env.Printf("\nThere are no log subscriptions.\n")
						return
					}
					env.Printf("\nCurrently configured logs:\n")
					printLogs(env, logs.Section.Get(env.Draft).List)
				},
				Items: []shell.Item{
					{Key: "NEW", Text: "Create a new log.", Run: withEnv(env, newLog)},
					{Key: "EDIT", Text: "Modify a log subscription.",
						Hidden: none, Run: withEnv(env, editLog)},
					{Key: "DELETE", Text: "Remove a log subscription.",
						Hidden: none, Run: withEnv(env, deleteLog)},
					{Key: "SETUP", Text: "General settings.", Run: withEnv(env, setUpLogs)},
					{Key: "LOGHEADERS", Text: "Configure headers to log.", Run: withEnv(env, logHeaders)},
					{Key: "HOSTKEYCONFIG", Text: "Configure SSH host keys.",
						Run: withEnv(env, configureHostKeys)},
					{Key: "PUSHSTATUS", Text: "Display the status of pushes.",
						Hidden: !anyPush(env), Run: withEnv(env, printPushes)},
				},
			}
		})
	},
})

// logconfigInline executes the inline form, which only shows the status of pushes.
func logconfigInline(ctx context.Context, env *shell.Env) error {
	if len(env.Args) > 1 || !strings.EqualFold(env.Args[0], "pushstatus") {
		return shell.InvalidArgumentf(env.Args[len(env.Args)-1], "The only argument is pushstatus.")
	}
	if !anyPush(env) {
		env.Printf("No log is pushed to a server.\n")
		return nil
	}
	return printPushes(ctx, env)
}

func newLog(ctx context.Context, env *shell.Env) error {
	return editLogs(env, func(
		v *logs.Subscriptions, keys *[]logs.KnownHost) (*logs.Subscription, error) {
		types := logs.Types(env.Appliance.Product.Version)
		titles := make([]string, len(types))
		for i, t := range types {
			titles[i] = t.Title
		}
		i, err := env.Choose(ctx, "Choose the log file type for this subscription:", 0, titles...)
		if err != nil {
			return nil, err
		}
		s := logs.NewSubscription("", types[i])
		if err := env.Form(ctx,
			shell.Text(&s.Name, "Please enter the name for the log:", func(name string) error {
				for _, o := range v.List {
					if strings.EqualFold(o.Name, name) {
						return refusal.New("The name is already in use.")
					}
				}
				return logs.CheckName(name)
			}),
			logForm(env, &s, keys),
		); err != nil {
			return nil, err
		}
		v.Put(s)
		return &s, nil
	})
}

func editLog(ctx context.Context, env *shell.Env) error {
	return editLogs(env, func(
		v *logs.Subscriptions, keys *[]logs.KnownHost) (*logs.Subscription, error) {
		s, err := chooseListedLog(ctx, env, v, "Enter the number of the log you wish to edit.")
		if err != nil {
			return nil, err
		}
		if err := env.Form(ctx, logForm(env, &s, keys)); err != nil {
			return nil, err
		}
		if s.Method != logs.Syslog || s.Push.Buffer == 0 {
			warnOfUnsentMessages(env, s.Name)
		}
		v.Put(s)
		return &s, nil
	})
}

// warnOfUnsentMessages says how many messages may be lost when a push ends.
func warnOfUnsentMessages(env *shell.Env, name string) {
	if p, ok := env.Appliance.Logs.PushStats(name); ok && p.Waiting > 0 {
		env.Printf("Messages that are waiting for its syslog server and may be discarded: %d\n",
			p.Waiting)
	}
}

// A logChange changes a list of subscriptions and holds the whole conversation. It returns the new
// or changed subscription and appends the host keys that the administrator has accepted.
type logChange func(*logs.Subscriptions, *[]logs.KnownHost) (*logs.Subscription, error)

// editLogs changes the draft's subscriptions and adds the new host keys.
func editLogs(env *shell.Env, change logChange) error {
	var s *logs.Subscription
	var keys []logs.KnownHost
	err := editSection(env, logs.Section, func(v *logs.Subscriptions) (err error) {
		s, err = change(v, &keys)
		return err
	})
	if err == nil {
		err = addHostKeys(env, keys)
	}
	if err != nil || s.Method != logs.SCPPush {
		return err
	}
	env.Printf("\n")
	env.PrintWrapped(fmt.Sprintf("Put the following key into the file authorized_keys "+
		"of the user %s on %s, so that log files can be transferred:", s.Remote.User, s.Remote.Host))
	return printLogKey(env)
}

func deleteLog(ctx context.Context, env *shell.Env) error {
	return editSection(env, logs.Section, func(v *logs.Subscriptions) error {
		s, err := chooseListedLog(ctx, env, v, "Enter the number of the log you wish to delete.")
		if err != nil {
			return err
		}
		warnOfUnsentMessages(env, s.Name)
		sure, err := env.Confirm(ctx, fmt.Sprintf(
			"Are you sure you want to delete the log subscription \"%s\"?", s.Name), false)
		if sure {
			v.List = slices.DeleteFunc(v.List, func(o logs.Subscription) bool { return o.Name == s.Name })
		}
		return err
	})
}

// chooseListedLog asks for a subscription of the list above the menu.
func chooseListedLog(
	ctx context.Context, env *shell.Env, v *logs.Subscriptions, question string,
) (s logs.Subscription, err error) {
	_, err = env.Ask(ctx, question, "", func(answer string) (err error) {
		s, err = findLog(v.List, answer)
		return err
	})
	return s, err
}

func setUpLogs(ctx context.Context, env *shell.Env) error {
	return editSection(env, logs.General, func(g *logs.Settings) error {
		return env.Form(ctx,
			shell.Number(&g.MetricsInterval,
				"System metrics frequency, in seconds:", 1, logs.MaxMetricsInterval),
			shell.YesNo(&g.MessageID, "Do you want to log the Message-ID header of each message?"),
			shell.YesNo(&g.Subject, "Do you want to log the original subject header of each message?"),
			shell.YesNo(&g.Response, "Do you want to log the remote response text?"),
		)
	})
}

func logHeaders(ctx context.Context, env *shell.Env) error {
	return editSection(env, logs.General, func(g *logs.Settings) error {
		if len(g.Headers) == 0 {
			env.Printf("No headers are logged.\n")
		}
		_, err := env.Ask(ctx, "Please enter the list of headers you wish to record in the log files, "+
			"separated by commas,\nor NONE for none.", strings.Join(g.Headers, ", "),
			func(answer string) error {
				var headers []string
				if !strings.EqualFold(answer, "none") && answer != "" {
					headers = strings.Split(answer, ",")
				}
				for i, h := range headers {
					headers[i] = strings.TrimSpace(h)
					if err := logs.CheckHeader(headers[i]); err != nil {
						return err
					}
				}
				g.Headers = headers
				return nil
			})
		return err
	})
}
