//! How is code run inside a namespace? By a thread that lives there and takes jobs.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use nix::unistd::gettid;

use super::LabError;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that entered its namespaces and runs what it is given, one job at a time.
#[derive(Debug)]
pub(super) struct Worker {
    name: String,
    tid: i32,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; `enter` moves it into its namespaces. It inherits the others from the
    /// calling thread.
    pub(super) fn start(
        name: &str,
        enter: impl FnOnce() -> Result<(), LabError> + Send + 'static,
    ) -> Result<Self, LabError> {
        let (jobs, queue) = channel::<Job>();
        let (entered, answer) = channel();
        let body = move || {
            let result = enter();
            let failed = result.is_err();
            // The starter waits for it, or is gone: then the queue is closed as well.
            let _ = entered.send(result.map(|()| gettid().as_raw()));
            if failed {
                return;
            }
            for job in queue {
                job();
            }
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(LabError::io(format!("starting the thread of {name}")))?;
        let tid = answer.recv().map_err(|_| ended(name))??;
        Ok(Self {
            name: name.to_owned(),
            tid,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs a job there and returns what it returned; a panic of the job is the caller's.
    pub(super) fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LabError> {
        let (answer, result) = channel();
        let job: Job = Box::new(move || {
            // The caller waits below.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
        });
        let jobs = self.jobs.as_ref().ok_or_else(|| ended(&self.name))?;
        jobs.send(job).map_err(|_| ended(&self.name))?;
        match result.recv().map_err(|_| ended(&self.name))? {
            Ok(result) => Ok(result),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The file that stands for the thread's network namespace, as `ip link set netns` takes it.
    pub(super) fn net_namespace(&self) -> String {
        format!("/proc/{}/task/{}/ns/net", std::process::id(), self.tid)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A job may own the last handle of its own worker; a thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            // Jobs catch their panics.
            let _ = thread.join();
        }
    }
}

fn ended(name: &str) -> LabError {
    LabError::Ended {
        of: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_job_reaches_the_caller_and_the_worker_goes_on() {
        let worker = Worker::start("test", || Ok(())).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| worker.run(|| panic!("as told"))));
        let text = panic.unwrap_err();
        assert_eq!(text.downcast_ref::<&str>(), Some(&"as told"));
        assert_eq!(worker.run(|| 7).unwrap(), 7);
    }

    #[test]
    fn a_worker_that_could_not_enter_is_an_error() {
        let refused = || {
            Err(LabError::Off {
                host: "lb-a".into(),
            })
        };
        let error = Worker::start("test", refused).unwrap_err();
        assert!(matches!(error, LabError::Off { .. }));
    }
}
