import os,sys,time,ctypes,socket,subprocess,traceback
sys.path.insert(0,os.getcwd()); os.environ.update(OPENBLAS_NUM_THREADS="1",OMP_NUM_THREADS="1",CUDA_HOME="/usr/local/cuda",HOME="/scratch",TRITON_CACHE_DIR="/scratch/t",TMPDIR="/scratch",TRITON_HOME="/scratch")
import torch,triton,glob
torch.set_num_threads(1)
from backend_bench.worker import sandbox as sb
from backend_bench.worker.sandbox import kernel, stages, rights
skip=sys.argv[1:]
plan=sb.default_plan(level="best-effort",cuda=True)
if "v" in skip: print(plan.readable,plan.devices,os.getuid(),os.listdir("/proc/self/task"))
if "uid" in skip: rights.unused_identity=lambda life: rights.own_identity()
real=kernel.unshare
names={"ipc":kernel.CLONE_NEWIPC,"net":kernel.CLONE_NEWNET,"pid":kernel.CLONE_NEWPID}
def unshare(f):
    for n in skip:
        if f==names.get(n): raise OSError(1,"skipped")
    real(f)
kernel.unshare=unshare
from backend_bench.worker.sandbox import seccomp, view
import dataclasses
import dataclasses
from backend_bench.worker.sandbox import seccomp
rt=ctypes.CDLL(glob.glob(os.path.dirname(torch.__file__)+"/../nvidia/**/libcudart.so*",recursive=True)[0])
class H(ctypes.Structure): _fields_=[("b",ctypes.c_ubyte*64)]
K='''
import torch,triton,triton.language as tl
@triton.jit
def k(x,n,B:tl.constexpr):
    i=tl.program_id(0)*B+tl.arange(0,B); tl.store(x+i,tl.load(x+i,mask=i<n)+1,mask=i<n)
x=torch.zeros(1000,device="cuda"); k[(4,)](x,1000,256); print("triton",x.sum().item(),flush=True)
'''
def work(s):
    t=time.perf_counter; a=t(); e=sb.enter(plan,keep_fds=(s.fileno(),)); b=t()
    if "early" in skip:
        from backend_bench.worker.sandbox import landlock
        if "root" in skip: plan2=dataclasses.replace(plan,scratch="/"); landlock.OWN=65535; print("all of / allowed")
        else: plan2=plan; stages.landlock.LOOK|=2|((1<<14) if "trunc" in skip else 0)
        if "dirs" in skip:
            ro=stages._rules
            stages._rules=lambda *a,**k: [*ro(*a,**k),landlock.Rule("/",8)]
        if "dev" in skip:
            ro2=stages._rules
            stages._rules=lambda *a,**k: [*ro2(*a,**k),landlock.Rule("/dev",65535)]
        if "selfonly" in skip:
            stages.landlock.LOOK=12
            ro3=stages._rules
            stages._rules=lambda *a,**k: [*ro3(*a,**k),landlock.Rule("/proc/self",2|(1<<14))]
        rs=landlock._ruleset
        if "scope" in skip: landlock._ruleset=lambda v,r: rs(5,r)
        if "nonet" in skip: landlock._ruleset=lambda v,r: rs(3,r)
        seccomp.forbid_sockets=lambda: None
        sb_close=sb.close; sb.close=lambda p,e: sb_close(plan2,e)
        print(sb.close(plan,e),flush=True)
    if "strace" in skip: subprocess.run("which strace")
    try: torch.zeros(1,device="cuda"); torch.cuda.synchronize()
    except Exception as x: print("CUDA",repr(x)[:300],e,flush=True); os._exit(1)
    c=t(); r=0 if "early" in skip else sb.close(plan,e); d=t(); print("enter %.1f ctx %.1f close %.1f ms"%((b-a)*1e3,(c-b)*1e3,(d-c)*1e3),r,"threads",len(os.listdir("/proc/self/task")),flush=True)
    h=H.from_buffer_copy(s.recv(64)); p=ctypes.c_void_p(); rc=rt.cudaIpcOpenMemHandle(ctypes.byref(p),h,1); rc2=rt.cudaMemset(p,7,64) if not rc else -1; torch.cuda.synchronize(); 
    h2=H(); p2=ctypes.c_void_p(); rc3=(rt.cudaMalloc(ctypes.byref(p2),4096),rt.cudaIpcGetMemHandle(ctypes.byref(h2),p2))
    s.send(b"%d %d %s"%(rc,rc2,str(rc3).encode())); s.recv(1); s.send(bytes(h2)); s.recv(1)
    if "v" not in skip: os._exit(0)
    open("/scratch/kk.py","w").write(K); sys.path.insert(0,"/scratch"); t0=t(); import kk; print("first triton %.1f s"%(t()-t0))
    open("/scratch/a.cu","w").write("__global__ void f(){}\nextern \"C\" void g(){f<<<1,1>>>();}")
    print("nvcc",subprocess.run("nvcc -shared -Xcompiler -fPIC -arch=sm_90 -o /scratch/a.so /scratch/a.cu",shell=1,capture_output=1),flush=True)
    try:
        from torch.profiler import profile, ProfilerActivity
        with profile(activities=[ProfilerActivity.CUDA]) as pr: torch.ones(9,device="cuda").sum(); torch.cuda.synchronize()
        print("profiler",len(pr.events()),flush=True)
    except Exception as x: print("profiler",repr(x)[:200],flush=True)
    q=torch.randn(512,512,device="cuda"); print((q@q).sum().item(),flush=True); g=torch.cuda.CUDAGraph(); print("abort",flush=True); os.abort()
a,b=socket.socketpair(); pid=os.fork()
if pid==0:
    try: work(b)
    except BaseException: traceback.print_exc()
    os._exit(9)
b.close(); torch.cuda.init(); p=ctypes.c_void_p(); h=H(); print("skip",skip,rt.cudaMalloc(ctypes.byref(p),4096),rt.cudaIpcGetMemHandle(ctypes.byref(h),p)); a.send(bytes(h)); print("child opened ipc:",a.recv(64)); o=ctypes.create_string_buffer(64); rt.cudaMemcpy(o,p,64,2); print("read",o.raw[:4])
a.send(b"x"); h2=H.from_buffer_copy(a.recv(64)); p2=ctypes.c_void_p(); print("parent opened ipc:",rt.cudaIpcOpenMemHandle(ctypes.byref(p2),h2,1)); a.send(b"x"); print(os.waitpid(pid,0))
