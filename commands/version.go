package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "version",
	Summary: "Show the version of the system.",
	Source:  "public; invented (before AsyncOS 7, without the product's name)",
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		p := env.Appliance.Product
		env.Printf("\nCurrent Version\n===============\n")
		if !p.Version.Before(product.Version{Major: 7}) {
			env.Printf("Product: %s\n", p.Name())
		}
		env.Printf("Model: %s\n", p.Model)
		env.Printf("Version: %s\n", p.Version)
		if !p.BuildDate.IsZero() {
			env.Printf("Build Date: %s\n", p.BuildDate.Format("2006-01-02"))
		}
		installed := env.Appliance.Installed().In(env.Appliance.Zone())
		env.Printf("Install Date: %s\n", installed.Format("2006-01-02 15:04:05"))
		env.Printf("Serial #: %s\n", p.Serial)
		if p.Virtual() {
			env.Printf("BIOS: NA\n")
			env.Printf("CPUs: %d expected, %[1]d allocated\n", p.CPUs)
			env.Printf("Memory: %d MB expected, %[1]d MB allocated\n", p.MemoryMB)
			env.Printf("RAID: NA\nRAID Status: Unknown\nRAID Type: NA\nBMC: NA\n")
			return nil
		}
		raid, _ := p.RAID()
		bios, bmc, _ := p.Firmware()
		env.Printf("BIOS: %s\nRAID: %s, RAID Status: %s, RAID Type: %s\nBMC: %s\n",
			bios, raid.Version, raid.Status, raid.Type, bmc)
		return nil
	},
})
