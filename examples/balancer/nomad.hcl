# Three of them, behind a balancer in 10.0.0.0/8 that sends PROXY headers. The image is that of examples/run/Dockerfile.
# The check asks the server itself. One that connects would be a client without a header: dropped, and in the log.
job "echo" {
  group "echo" {
    count = 3

    network {
      port "echo" { to = 8007 }
    }

    service {
      name = "echo"
      port = "echo"

      check {
        type     = "script"
        task     = "tcpserver"
        command  = "/bin/tcpctl"
        args     = ["/alloc/tmp/control", "status"]
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "tcpserver" {
      driver = "docker"

      config {
        image      = "ucspi-tcp"
        ports      = ["echo"]
        entrypoint = ["/bin/tcpserver", "-v", "-RHl0", "-c", "200", "--proxy=10.0.0.0/8", "--control=/alloc/tmp/control",
          "--drain=30", "--kill=5", "0", "8007", "/bin/cat"]
      }

      # The others end a server at once. The time is more than --drain and --kill together.
      kill_signal  = "SIGTERM"
      kill_timeout = "45s"

      resources {
        memory = 64
      }
    }
  }
}
