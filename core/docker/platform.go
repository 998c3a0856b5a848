package docker

import (
	"context"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// platforms caches the platforms of images and of the engine itself.
type platforms struct {
	cli *client.Client

	mu      sync.Mutex
	byImage map[string]string // image id → platform
	own     string            // "" until the engine is asked
}

// of returns the platform of the container's image; if the image is gone or has
// none, the engine's own.
func (p *platforms) of(ctx context.Context, info container.InspectResponse) string {
	if d := info.ImageManifestDescriptor; d != nil && d.Platform != nil && d.Platform.Architecture != "" {
		return platformString(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant)
	}
	if known := p.known(info.Image); known != "" {
		return known
	}
	image, err := p.cli.ImageInspect(ctx, info.Image)
	if err != nil || image.Architecture == "" {
		return p.engine(ctx)
	}
	platform := platformString(image.Os, image.Architecture, image.Variant)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byImage == nil {
		p.byImage = map[string]string{}
	}
	p.byImage[info.Image] = platform // an id never changes its content
	return platform
}

// known returns the platform of an image if it is cached, else "".
func (p *platforms) known(imageID string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byImage[imageID]
}

// engine returns the engine's own platform; "" if it cannot be asked.
func (p *platforms) engine(ctx context.Context) string {
	p.mu.Lock()
	own := p.own
	p.mu.Unlock()
	if own != "" {
		return own
	}
	v, err := p.cli.ServerVersion(ctx)
	if err != nil {
		return ""
	}
	return p.setOwn(v)
}

// setOwn sets the engine's own platform and returns it.
func (p *platforms) setOwn(v types.Version) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own = platformString(v.Os, v.Arch, "")
	return p.own
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
