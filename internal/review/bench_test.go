package review_test

import (
	"fmt"
	"strings"
	"testing"

	"noderestriction.plus/internal/review"
)

// largeReview is a review of some 31 KB: a Node with 50 images, and the stored one.
func largeReview(b *testing.B) []byte {
	b.Helper()
	var images strings.Builder
	for i := range 50 {
		if i > 0 {
			images.WriteByte(',')
		}
		fmt.Fprintf(&images, `{"names":["registry.example.com/team/image-%d@sha256:%s",`+
			`"registry.example.com/team/image-%d:v1.2.3"],"sizeBytes":%d}`,
			i, strings.Repeat("c0ffee00", 8), i, 1_000_000+i)
	}
	status := `},"status":{"images":[` + images.String() + `]}}`
	body := replaced(b, `"oldObject":{"metadata":{"name":"worker-1"}}`,
		`"oldObject":{"metadata":{"name":"worker-1"`+status)
	return []byte(strings.Replace(body, `"labels":{"a":"b"}}}`, `"labels":{}`+status, 1))
}

func BenchmarkDecode(b *testing.B) {
	body := largeReview(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := review.Decode(body); err != nil || r.Request.Unjudgeable != "" {
			b.Fatal(err, r)
		}
	}
}

func BenchmarkDecodeJudgeAnswer(b *testing.B) {
	body, set := largeReview(b), compiled(b, nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := review.Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		v := r.Judge(set, nil)
		if v.Denied() {
			b.Fatal(v.Message())
		}
		r.Answer(v, review.Receipt{})
	}
}
