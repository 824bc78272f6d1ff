// The generator of THIRD_PARTY_NOTICES.
module noderestriction.plus/tools/notices

go 1.26.0

require github.com/google/licensecheck v0.3.1
