package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tcpdump",
	Summary: "Dump ethernet packets, before AsyncOS 7.",
	Help:    "One capture runs at a time; it ends when the menu is left. Captures are kept in the directory\ndiagnostic: fetch them with SCP or FTP. From AsyncOS 7 on packetcapture takes its place.",
	Source:  "B3, B4, B24 to B32 (menu, rules); invented (answers)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		if !env.Appliance.Product.Version.Before(product.Version{Major: 7}) {
			return refusal.New("The command tcpdump has been replaced by packetcapture. Use packetcapture instead.")
		}
		return captureMenu(ctx, env)
	},
})
