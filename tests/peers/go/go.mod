module tallygate.invalid/gocheck

// Go 1.18 and golang.org/x/mod v0.20.0, the last that builds with it: Debian 12 brings Go 1.19.
go 1.18

require golang.org/x/mod v0.20.0
