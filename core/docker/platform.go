package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// platform returns the platform of the container's image; if the image is gone or
// has none, the engine's own.
func (e *Engine) platform(ctx context.Context, info container.InspectResponse) string {
	if d := info.ImageManifestDescriptor; d != nil && d.Platform != nil && d.Platform.Architecture != "" {
		return platformString(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
	}
	if known := e.knownPlatform(info.Image); known != "" {
		return known
	}
	if image, err := e.cli.ImageInspect(ctx, info.Image); err == nil && image.Architecture != "" {
		platform := platformString(image.Os, image.Architecture, image.Variant)
		e.platformMu.Lock()
		e.platforms[info.Image] = platform // an id never changes its content
		e.platformMu.Unlock()
		return platform
	}
	return e.enginePlatform(ctx)
}

func (e *Engine) knownPlatform(imageID string) string {
	e.platformMu.Lock()
	defer e.platformMu.Unlock()
	return e.platforms[imageID]
}

// enginePlatform returns the engine's own platform; "" if it cannot be asked.
func (e *Engine) enginePlatform(ctx context.Context) string {
	e.platformMu.Lock()
	own := e.ownPlatform
	e.platformMu.Unlock()
	if own == "" {
		if v, err := e.cli.ServerVersion(ctx); err == nil {
			own = platformString(v.Os, v.Arch, "")
			e.platformMu.Lock()
			e.ownPlatform = own
			e.platformMu.Unlock()
		}
	}
	return own
}

// platformString is os/arch[/variant] in the usual form, where arm64 has no variant.
func platformString(os, arch, variant string) string {
	if os == "" {
		os = "linux"
	}
	if variant == "" || arch == "arm64" && variant == "v8" {
		return os + "/" + arch
	}
	return os + "/" + arch + "/" + variant
}
