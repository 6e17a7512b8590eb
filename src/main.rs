//! The binary `main-worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    main_worker::cli::main(&main_worker::app::Program::main())
}
