module github.com/flocker-mesos/flocker

go 1.26.0
