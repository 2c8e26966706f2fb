// Package product says what an appliance is: its model, its serial number and the
// version of AsyncOS that it runs. Texts, file names and the set of commands depend
// on these facts. They come from the topology and do not change while it runs.
package product
