package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
)

// profileSeconds is how long a profile takes.
const profileSeconds = 10

// takeProfile has the product judge heartbeats and writes a profile of its CPU time.
func (b *bench) takeProfile(ctx context.Context) error {
	for _, v := range b.variants {
		if v.name == judged {
			if err := b.wire(ctx, v); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.saveProfile(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		default:
			if _, err := writeAll(ctx, b.kubelets[:8], kinds()[0], b.writes, &b.sequence); err != nil {
				return err
			}
		}
	}
}

func (b *bench) saveProfile(ctx context.Context) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", b.pprof, profileSeconds)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	file, err := os.Create(b.settings.profile)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, response.Body); err != nil {
		return err
	}
	return file.Close()
}
