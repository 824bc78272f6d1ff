// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/tools/release/gobuild"
)

// archiveName returns the name of the archive of a program.
func archiveName(program gobuild.Program, version string, p gobuild.Platform) string {
	extension := ".tar.gz"
	if p.OS == "windows" {
		extension = ".zip"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", program.Name, version, p.OS, p.Arch, extension)
}

// member is a file of an archive.
type member struct {
	name string
	mode fs.FileMode
	path string // where it is read from
}

// writeArchive writes a program with the licences into an archive: a zip or, by its name, a tar.gz. The times are those of the commit.
func writeArchive(file, root, program string, at time.Time) error {
	members := []member{{filepath.Base(program), 0o755, program}}
	for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES"} {
		members = append(members, member{name, 0o644, filepath.Join(root, name)})
	}
	return create(file, func(out io.Writer) error {
		if strings.HasSuffix(file, ".zip") {
			return writeZip(out, members, at)
		}
		return writeTarGz(out, members, at)
	})
}

func writeTarGz(out io.Writer, members []member, at time.Time) error {
	compressor, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(compressor)
	for _, m := range members {
		data, err := os.ReadFile(m.path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: m.name, Mode: int64(m.mode), Size: int64(len(data)), ModTime: at, Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return compressor.Close()
}

func writeZip(out io.Writer, members []member, at time.Time) error {
	w := zip.NewWriter(out)
	for _, m := range members {
		data, err := os.ReadFile(m.path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: at.UTC()}
		header.SetMode(m.mode)
		into, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := into.Write(data); err != nil {
			return err
		}
	}
	return w.Close()
}

// create writes a file. An error of closing it counts, because data may then be missing.
func create(file string, write func(io.Writer) error) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(out)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}

// ChecksumsFile is the name of the file with the SHA-256 of every other file of a release, in the format of sha256sum.
const ChecksumsFile = "checksums.txt"

// writeChecksums writes the checksums of the files in a directory.
func writeChecksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, entry := range entries {
		if entry.Name() == ChecksumsFile {
			continue
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s: is not a file", filepath.Join(dir, entry.Name()))
		}
		sum, err := checksum(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, sum+"  "+entry.Name()+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2*sha256.Size:], b[2*sha256.Size:]) })
	return os.WriteFile(filepath.Join(dir, ChecksumsFile), []byte(strings.Join(lines, "")), 0o644)
}

// checksum returns the SHA-256 of a file in hexadecimal.
func checksum(file string) (string, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
