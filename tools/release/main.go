// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Release makes the container image and the files of a release. The Makefile has its commands: make image, make release.
//
//	release image -C ../.. -o ../../bin/image
//	release dist -C ../.. -o ../../dist -helm /usr/local/bin/helm
//	release push -dir ../../dist ghcr.io/example/node-restriction-plus:v0.1.0
//	release install -C ../.. -o install.yaml -helm /usr/local/bin/helm -image ghcr.io/example/image -version v0.1.0 -digest sha256:…
//	release notes -C ../.. v0.1.0
//	release rootfs -C ../.. -o /out -platform linux/arm64
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"

	"noderestriction.plus/tools/release/dist"
	"noderestriction.plus/tools/release/gobuild"
	"noderestriction.plus/tools/release/image"
	"noderestriction.plus/tools/release/sbom"
)

const (
	imagePlatforms  = "linux/amd64,linux/arm64"
	pluginPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Stdout, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	commands := map[string]func(context.Context, io.Writer, []string) error{
		"dist": runDist, "image": runImage, "install": runInstall, "notes": runNotes, "push": runPush, "rootfs": runRootfs,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("give a command: dist, image, install, notes, push or rootfs")
	}
	return commands[args[0]](ctx, out, args[1:])
}

// parse parses flags, and refuses another number of arguments than wanted.
func parse(flags *flag.FlagSet, args []string, want int) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != want {
		return fmt.Errorf("%s: wants %d arguments, and has %q", flags.Name(), want, flags.Args())
	}
	return nil
}

func newFlags(command string) (flags *flag.FlagSet, root *string) {
	flags = flag.NewFlagSet(command, flag.ContinueOnError)
	return flags, flags.String("C", ".", "root `directory` of the project")
}

// runImage builds the image without a container runtime.
func runImage(ctx context.Context, out io.Writer, args []string) error {
	flags, root := newFlags("image")
	dir := flags.String("o", "", "`directory` of the files, which is replaced")
	platforms := flags.String("platforms", imagePlatforms, "`list` of platforms")
	tag := flags.String("name", "node-restriction-plus", "`name` of the image, with a tag; without one, the tag is the appVersion of the chart")
	base := flags.String("base", "", "`image` to build on, as <name>@sha256:<digest>. Empty: none, which needs no registry")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("-o: name a directory")
	}
	reference, err := imageTag(*root, *tag)
	if err != nil {
		return err
	}
	wanted, err := gobuild.ParsePlatforms(*platforms)
	if err != nil {
		return fmt.Errorf("-platforms: %w", err)
	}
	var onto *image.Base
	if *base != "" {
		if onto, err = image.PullBase(ctx, *base); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	programs, err := build(ctx, gobuild.Source{Root: *root}, wanted, work)
	if err != nil {
		return err
	}
	return writeImage(out, *root, *dir, programs, onto, reference)
}

// imageTag reads the name of an image. Its default tag is the one that the chart installs.
func imageTag(root, text string) (name.Tag, error) {
	version, err := dist.AppVersion(root)
	if err != nil {
		return name.Tag{}, err
	}
	tag, err := name.NewTag(text, name.WithDefaultTag(version))
	if err == nil && !strings.HasSuffix(text, ":"+tag.TagStr()) {
		tag, err = name.NewTag(text + ":" + tag.TagStr()) // so that its text has the tag, too
	}
	if err != nil {
		return name.Tag{}, fmt.Errorf("-name: %w", err)
	}
	return tag, nil
}

func build(ctx context.Context, source gobuild.Source, platforms []gobuild.Platform, work string) ([]image.Programs, error) {
	var all []image.Programs
	for _, p := range platforms {
		programs := image.Programs{Platform: p}
		for _, program := range []gobuild.Program{gobuild.Webhook(), gobuild.Plugin()} {
			path, err := source.Build(ctx, program, p, filepath.Join(work, p.OS+"_"+p.Arch))
			if err != nil {
				return nil, err
			}
			programs.Paths = append(programs.Paths, path)
		}
		all = append(all, programs)
	}
	return all, nil
}

func writeImage(out io.Writer, root, dir string, programs []image.Programs, base *image.Base, tag name.Tag) error {
	licenses, err := sbom.ReadLicenses(filepath.Join(root, "THIRD_PARTY_NOTICES"))
	if err != nil {
		return err
	}
	index, err := image.New(root, programs, base)
	if err != nil {
		return err
	}
	hash, err := index.Digest()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := dist.WriteImage(index, programs, tag, licenses, dir+string(filepath.Separator)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "digest"), []byte(hash.String()+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s@%s\n", tag, hash)
	return nil
}

// runDist makes the files of a release.
func runDist(ctx context.Context, out io.Writer, args []string) error {
	flags, root := newFlags("dist")
	dir := flags.String("o", "", "`directory` of the files, which is replaced")
	helm := flags.String("helm", "", "`path` of helm")
	repository := flags.String("image", "", "`name` of the image in its registry, without a tag")
	downloads := flags.String("downloads", image.Repository+"/releases/download", "`URL` below which each version has a directory")
	platforms := flags.String("platforms", imagePlatforms, "`list` of platforms of the image and the webhook")
	plugins := flags.String("plugin-platforms", pluginPlatforms, "`list` of platforms of the command-line tool")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	if *dir == "" || *helm == "" {
		return errors.New("-o and -helm: must be given")
	}
	o := dist.Options{Source: gobuild.Source{Root: *root}, Out: *dir, Helm: *helm, Downloads: *downloads}
	o.Log = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	var err error
	if o.Image, err = name.NewRepository(*repository); err != nil {
		return fmt.Errorf("-image: %w", err)
	}
	if o.Images, err = gobuild.ParsePlatforms(*platforms); err != nil {
		return fmt.Errorf("-platforms: %w", err)
	}
	if o.Plugins, err = gobuild.ParsePlatforms(*plugins); err != nil {
		return fmt.Errorf("-plugin-platforms: %w", err)
	}
	_, err = dist.Write(ctx, o)
	return err
}

// runInstall renders the install.yaml of a release without building its image.
func runInstall(ctx context.Context, _ io.Writer, args []string) error {
	flags, root := newFlags("install")
	file := flags.String("o", "", "`file` to write")
	helm := flags.String("helm", "", "`path` of helm")
	repository := flags.String("image", "", "`name` of the image in its registry, without a tag")
	version := flags.String("version", "", "`version` of the release, such as v0.1.0")
	digest := flags.String("digest", "", "`digest` of the image")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	if *file == "" || *helm == "" {
		return errors.New("-o and -helm: must be given")
	}
	o := dist.Options{Source: gobuild.Source{Root: *root}, Helm: *helm}
	var err error
	if o.Image, err = name.NewRepository(*repository); err != nil {
		return fmt.Errorf("-image: %w", err)
	}
	return dist.WriteInstall(ctx, o, *version, *digest, *file)
}

// runNotes prints the section of a version in the changelog.
func runNotes(_ context.Context, out io.Writer, args []string) error {
	flags, root := newFlags("notes")
	if err := parse(flags, args, 1); err != nil {
		return err
	}
	notes, err := dist.Notes(*root, flags.Arg(0))
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, notes)
	return err
}

// runPush pushes the image and its SBOMs, and prints its name with the digest.
func runPush(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	dir := flags.String("dir", "", "`directory` that make image or make release wrote")
	if err := parse(flags, args, 1); err != nil {
		return err
	}
	tag, err := name.NewTag(flags.Arg(0), name.StrictValidation)
	if err != nil {
		return fmt.Errorf("the image must have a tag: %w", err)
	}
	digest, err := dist.PushImage(ctx, *dir, tag)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, digest)
	return nil
}

// runRootfs writes the files of the image into a directory. The Dockerfile uses it.
func runRootfs(ctx context.Context, _ io.Writer, args []string) error {
	flags, root := newFlags("rootfs")
	dir := flags.String("o", "", "`directory` of the files")
	platform := flags.String("platform", "", "`platform`, such as linux/amd64")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("-o: name a directory")
	}
	p, err := gobuild.ParsePlatform(*platform)
	if err != nil {
		return fmt.Errorf("-platform: %w", err)
	}
	files, err := image.Licenses(*root)
	if err != nil {
		return err
	}
	if err := image.WriteFiles(*dir, append(files, image.System()...)); err != nil {
		return err
	}
	for _, program := range []gobuild.Program{gobuild.Webhook(), gobuild.Plugin()} {
		if _, err := (gobuild.Source{Root: *root}).Build(ctx, program, p, *dir); err != nil {
			return err
		}
	}
	return nil
}
