// Package product describes the appliance as a product: its model, its serial number and the
// version of AsyncOS that it runs. Texts, file names and the set of commands depend on them. They
// come from the topology and do not change while the appliance runs.
package product
