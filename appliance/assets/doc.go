// Package assets serves the style sheets, scripts and pictures of web pages from the program itself.
//
// An asset is an embedded file of a folder. Its name in pages contains a digest of its content, so
// that browsers may keep it for ever, and a new version of the program has new names:
//
//	//go:embed assets
//	var assetFiles embed.FS
//
//	var theAssets = sync.OnceValue(func() *assets.Set { return assets.Read(assetFiles, "assets") })
//	...
//	mux.HandleFunc("GET "+assets.Folder+"{name}", theAssets().Serve)
//
// A set is read when a page is first served, because most appliances in tests never serve one.
package assets
